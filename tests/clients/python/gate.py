"""The Python MCP clients, driven against the fixture server behind the gateway's own edge and engine.

    MCP_URL=http://127.0.0.1:PORT/mcp/conformance MCP_METRICS=http://127.0.0.1:PORT/metrics MCP_PID_FILE=FILE gate.py mcp|fastmcp

What the tools of the real binary do not show: a resource read, the user asked in the middle of a call, a call given up, a
stream let go by the server and taken up again, and a server that is killed (its process is in MCP_PID_FILE) and comes back
without its sessions. Once as a client of the handshake revisions ("legacy") and once of
2026-07-28 ("auto"). Prints one JSON line of what it saw; exits 1 on any deviation, naming it on standard error.
"""

import asyncio
import json
import os
import pathlib
import signal
import sys
import time
from typing import Any

import fastmcp
import httpx2
import mcp.client
from mcp import MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import ElicitResult

from drive import MODERN, Deviation, expect, first_cause

ANSWER = {"username": "ada", "email": "ada@example.org"}
LIMIT_SECONDS = 60
CALLED = "This is a simple text response for testing."
HOLD_SECONDS = 50
ASKED = "Who is it?"


def official(url: str, mode: str, asked: list[str]) -> Any:
    async def elicit(_context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content=ANSWER)

    return mcp.client.Client(streamable_http_client(url), mode=mode, elicitation_callback=elicit)


def fast(url: str, mode: str, asked: list[str]) -> Any:
    async def elicit(message: str, _type: Any, _params: Any, _context: Any) -> dict[str, str]:
        asked.append(message)
        return ANSWER

    return fastmcp.Client(url, mode=mode, elicitation_handler=elicit)


CLIENTS = {"mcp": official, "fastmcp": fast}


def items(answer: Any, member: str) -> list[Any]:
    """One client returns the list, the other the result that holds it."""
    return answer if isinstance(answer, list) else getattr(answer, member)


async def text(client: Any, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    expect(not result.is_error, f"{tool} failed: {result.content}")
    return result.content[0].text


async def cancelled_calls(metrics: str) -> int:
    """How often the gateway itself saw a call of hold cancelled."""
    async with create_mcp_http_client() as http:
        page = (await http.get(metrics)).text
    wanted = 'mcp_tool_errors_total{server="conformance",tool="hold",error_type="cancelled"} '
    return sum(int(line.removeprefix(wanted)) for line in page.splitlines() if line.startswith(wanted))


async def held(url: str, wanted: str) -> float:
    """Wait until so many calls of hold run, by the server's own word; how many seconds it took."""
    begin = time.monotonic()
    async with create_mcp_http_client() as http:
        while True:
            answer = (await http.post(f"{url}/tools/holding", json={"params": {}})).json()
            if answer["data"]["content"][0]["text"] == wanted:
                return round(time.monotonic() - begin, 2)
            expect(time.monotonic() - begin < 10, f"after 10 s {answer} is not {wanted} running calls")
            await asyncio.sleep(0.05)


async def give_up(client: Any, url: str, metrics: str) -> float:
    """Give up a call that would run for long; how many seconds later its tool had ended."""
    before = await cancelled_calls(metrics)
    call = asyncio.create_task(client.call_tool("hold", {"seconds": HOLD_SECONDS}))
    await held(url, "1")
    call.cancel()
    await asyncio.wait([call])
    expect(call.cancelled(), "a cancelled call came to an end of its own")
    ended = await held(url, "0")
    begin = time.monotonic()
    while await cancelled_calls(metrics) != before + 1:
        expect(time.monotonic() - begin < 10, "the call was not recorded as cancelled")
        await asyncio.sleep(0.05)
    return ended


async def restart(metrics: str) -> None:
    """Kill the server; run.sh starts another one in its place."""
    file = pathlib.Path(os.environ["MCP_PID_FILE"])
    old = file.read_text()
    os.kill(int(old), signal.SIGKILL)
    begin = time.monotonic()
    async with create_mcp_http_client() as http:
        while True:
            await asyncio.sleep(0.05)
            expect(time.monotonic() - begin < 20, "the server does not come back")
            try:
                if file.read_text() not in ("", old) and (await http.get(metrics)).status_code == 200:
                    return
            except httpx2.TransportError:
                pass


async def comes_back(name: str, url: str, metrics: str, mode: str, client: Any) -> str:
    """What the client sees of a server that comes back without its sessions; a new connection must be as good as the first."""
    await restart(metrics)
    try:
        again = await asyncio.wait_for(text(client, "test_simple_text", {}), 15)
        seen = "went on"
        expect(again == CALLED, f"after the restart the call returned {again!r}")
    except MCPError as error:
        seen = f"told: {error}"
    # A client of 2026-07-28 has no session to lose; one of the others must hear that its own is gone.
    right = seen == "went on" if mode == "auto" else seen.startswith("told: there is no such session")
    expect(right, f"after the restart, mode {mode}: {seen}")
    asked: list[str] = []
    async with CLIENTS[name](url, mode, asked) as new:
        tools = {tool.name for tool in items(await new.list_tools(), "tools")}
        expect("test_simple_text" in tools, f"after the restart, tools listed: {sorted(tools)}")
        expect(await text(new, "test_simple_text", {}) == CALLED, "the new connection's call returned something else")
        await text(new, "test_elicitation", {"message": ASKED})
        expect(asked == [ASKED], f"over the new connection the user was asked {asked}")
    return seen


async def walk(name: str, url: str, metrics: str, mode: str) -> dict[str, Any]:
    asked: list[str] = []
    async with CLIENTS[name](url, mode, asked) as client:
        protocol = client.protocol_version if name == "mcp" else client.session.protocol_version
        expect((protocol == MODERN) == (mode == "auto"), f"mode {mode} ended in protocol {protocol}")
        tools = {tool.name for tool in items(await client.list_tools(), "tools")}
        expect({"test_simple_text", "test_elicitation", "hold"} <= tools, f"tools listed: {sorted(tools)}")
        resources = {str(resource.uri) for resource in items(await client.list_resources(), "resources")}
        expect("test://static-text" in resources, f"resources listed: {resources}")
        read = items(await client.read_resource("test://static-text"), "contents")[0].text
        expect(read == "This is the content of the static text resource.", f"read {read!r}")
        called = await text(client, "test_simple_text", {})
        expect(called == CALLED, f"the call returned {called!r}")

        answered = await text(client, "test_elicitation", {"message": ASKED})
        expect(asked == [ASKED], f"the user was asked {asked}")
        expect(all(value in answered for value in ANSWER.values()), f"the tool was answered {answered!r}")

        stopped = await give_up(client, url, metrics)
        again = await text(client, "test_reconnection", {})
        expect(again == "Reconnection test completed", f"after the stream was let go: {again!r}")
        back = await comes_back(name, url, metrics, mode, client)
    return {
        "mode": mode,
        "protocol": protocol,
        "tools": len(tools),
        "resources": len(resources),
        "stopped_after": stopped,
        "after_restart": back,
    }


async def drive(name: str) -> dict[str, Any]:
    url, metrics = os.environ["MCP_URL"], os.environ["MCP_METRICS"]
    return {"client": name, "runs": [await walk(name, url, metrics, mode) for mode in ("legacy", "auto")]}


def main() -> int:
    if sys.argv[1:] not in (["mcp"], ["fastmcp"]):
        raise SystemExit(__doc__)
    try:
        seen = asyncio.run(asyncio.wait_for(drive(sys.argv[1]), LIMIT_SECONDS))
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
        cause = first_cause(error)
        said = str(cause) if isinstance(cause, Deviation) else f"{type(cause).__name__}: {cause}"
        print(f"gate.py {sys.argv[1]}: {said}", file=sys.stderr)
        return 1
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
