"""The Python MCP clients, the official one and FastMCP's, driven against a running gateway.

    MCP_URL=http://127.0.0.1:PORT/mcp MCP_KEY=tg_... drive.py mcp|fastmcp http
    drive.py mcp|fastmcp stdio COMMAND [ARGUMENT...]

Connects once as a client of the handshake revisions ("legacy") and once of 2026-07-28 ("modern"); each time it lists the
tools, calls three, reads as a resource what one of them wrote and asks for a tool that does not exist. Prints one JSON line of what it saw; exits 1 on any deviation,
naming it on standard error. Over HTTP a missing and a wrong key must be refused too.
"""

import asyncio
import functools
import json
import os
import sys
import uuid
from typing import Any

import fastmcp
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp import MCPError
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

HEALTH = "omnipotent__health_check"
REMEMBER = "a2a-unified__remember"
RECALL = "a2a-unified__recall"
UNKNOWN = "omnipotent__no_such_tool"
MODERN = "2026-07-28"
LIMIT_SECONDS = 60


class Deviation(Exception):
    """The gateway did something else than it should."""


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Deviation(what)


def structured(result: Any, tool: str) -> dict[str, Any]:
    """The object a successful call returned, once as structure and once as text."""
    texts = [block.text for block in result.content if block.type == "text"]
    expect(not result.is_error, f"{tool} failed: {' '.join(texts)[:500]}")
    expect(isinstance(result.structured_content, dict), f"{tool} returned no structured content")
    expect(bool(texts) and json.loads(texts[0]) == result.structured_content, f"{tool}: text and structure differ")
    return result.structured_content


async def tool_names(client: Any) -> list[str]:
    """All pages; FastMCP's client fetches them by itself."""
    listed = await client.list_tools()
    if isinstance(listed, list):
        return [tool.name for tool in listed]
    names = [tool.name for tool in listed.tools]
    while listed.next_cursor:
        listed = await client.list_tools(cursor=listed.next_cursor)
        names += [tool.name for tool in listed.tools]
    return names


async def walk(family: Any, transport: Any, mode: str) -> dict[str, Any]:
    """One connection from greeting to goodbye; "auto" asks for the newest revision and must get it."""
    async with family(transport, mode=mode) as client:
        fast = family is fastmcp.Client
        protocol = client.session.protocol_version if fast else client.protocol_version
        call = functools.partial(client.call_tool, raise_on_error=False) if fast else client.call_tool
        expect((protocol == MODERN) == (mode == "auto"), f"mode {mode} ended in protocol {protocol}")
        tools = await tool_names(client)
        for tool in (HEALTH, REMEMBER, RECALL):
            expect(tool in tools, f"{tool} is not listed")
        expect(UNKNOWN not in tools, f"{UNKNOWN} is listed")
        expect(len(tools) == len(set(tools)), "a tool is listed twice")

        health = structured(await call(HEALTH, {}), HEALTH)
        expect("status" in health, f"{HEALTH} has no status")

        key, value = f"drive-python-{uuid.uuid4()}", f"value \u00e9\u4e16 {mode}"
        written = structured(await call(REMEMBER, {"key": key, "value": value}), REMEMBER)
        expect(written.get("success") is True, f"{REMEMBER} reports {written}")
        found = structured(await call(RECALL, {"key": key}), RECALL)
        values = [row.get("value") for row in found.get("results", [])]
        expect(values == [value], f"{RECALL} returned {values}, not what was remembered")

        uri = f"memory://{key}"
        listed = await client.list_resources()
        listed = [str(one.uri) for one in (listed if fast else listed.resources)]
        expect(uri in listed, f"{uri} is not listed among {listed}")
        read = await client.read_resource(uri)
        read = (read if fast else read.contents)[0].text
        expect(read == value, f"{uri} reads as {read!r}, not what was remembered")

        return {
            "mode": mode,
            "protocol": protocol,
            "tools": len(tools),
            "health": health["status"],
            "recalled": values[0] == value,
            "read": read == value,
            "unknown_tool": await refused(call(UNKNOWN, {}), UNKNOWN),
            "bad_argument": await refused(call(REMEMBER, {"kee": 1}), f"{REMEMBER} with a wrong argument"),
        }


async def refused(call: Any, what: str) -> str:
    """How the gateway said no: a JSON-RPC error or a result that is an error. Both are legal; success is not."""
    try:
        result = await call
    except MCPError as error:
        return f"error {error.code}"
    expect(bool(result.is_error), f"{what} succeeded")
    expect(any(block.type == "text" and block.text for block in result.content), f"{what}: refused without a reason")
    return "isError"


async def over_http(name: str, url: str, key: str, mode: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    if name == "fastmcp":
        return await walk(fastmcp.Client, StreamableHttpTransport(url, headers=headers), mode)
    async with create_mcp_http_client(headers=headers) as http:
        return await walk(Client, streamable_http_client(url, http_client=http), mode)


async def over_stdio(name: str, command: str, arguments: list[str], mode: str) -> dict[str, Any]:
    if name == "fastmcp":
        return await walk(fastmcp.Client, StdioTransport(command, arguments, keep_alive=False), mode)
    return await walk(Client, stdio_client(StdioServerParameters(command=command, args=arguments)), mode)


async def locked_out(url: str, headers: dict[str, str], who: str) -> int:
    """Neither nobody nor a stranger gets an answer; the client library hides the status, so ask plainly."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accept = {"Accept": "application/json, text/event-stream"}
    async with create_mcp_http_client(headers=headers | accept) as http:
        answer = await http.post(url, json=body)
    expect(answer.status_code == 401, f"{who} got HTTP {answer.status_code}, not 401")
    return answer.status_code


async def drive(arguments: list[str]) -> dict[str, Any]:
    match arguments:
        case [("mcp" | "fastmcp") as name, "http"]:
            url, key = os.environ["MCP_URL"], os.environ["MCP_KEY"].strip()
            wrong = {"Authorization": f"Bearer tg_{12 * '0'}_{43 * '0'}"}
            return {
                "client": name,
                "transport": "http",
                "no_key": await locked_out(url, {}, "a caller without a key"),
                "wrong_key": await locked_out(url, wrong, "a caller with a wrong key"),
                "runs": [await over_http(name, url, key, mode) for mode in ("legacy", "auto")],
            }
        case [("mcp" | "fastmcp") as name, "stdio", command, *rest]:
            runs = [await over_stdio(name, command, rest, mode) for mode in ("legacy", "auto")]
            return {"client": name, "transport": "stdio", "runs": runs}
        case _:
            raise SystemExit(__doc__)


def first_cause(error: BaseException) -> BaseException:
    """Task groups wrap what was raised inside them."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error


def main() -> int:
    try:
        seen = asyncio.run(asyncio.wait_for(drive(sys.argv[1:]), LIMIT_SECONDS))
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
        cause = first_cause(error)
        print(f"drive.py: {type(cause).__name__}: {cause}", file=sys.stderr)
        return 1
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
