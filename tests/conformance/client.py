"""The subject of the client suite: client.py URL, started by the suite once for each scenario (see client.sh).

Starts a gateway whose single upstream is URL, calls through it what the scenario (MCP_CONFORMANCE_SCENARIO) wants to see of
a client, and ends the gateway. Exits 0 when what it called did as it should.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

sys.path.insert(0, os.environ["PYTHON_PACKAGES"])

from mcp import MCPError  # noqa: E402
from mcp.client import Client  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402
from mcp.shared._httpx_utils import create_mcp_http_client  # noqa: E402
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, TextContent  # noqa: E402

SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
MODERN = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2026-07-28") >= "2026-07-28"
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
READY_SECONDS = 30
BY_TYPE = {"string": "x", "integer": 0, "number": 0, "boolean": False, "object": {}, "array": []}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def gateway(upstream: str) -> Any:
    """Its endpoint and key."""
    with tempfile.TemporaryDirectory() as folder:
        home, port = pathlib.Path(folder), free_port()
        settings = {
            "version": 1,
            "listen": f"127.0.0.1:{port}",
            "data": str(home / "data"),
            "log": {"level": "warn"},
            "servers": {"enabled": []},
            "limits": {"per_caller": "1000000/1s", "per_tool": "1000000/1s"},
            "upstreams": {"subject": {"url": upstream, "prefix": "never", "tools": {"trust_hints": True}}},
        }
        # JSON is YAML.
        (home / "toolgate.yaml").write_text(json.dumps(settings))
        command = [os.environ["TOOLGATE"], "serve", "--config", str(home / "toolgate.yaml")]
        process = subprocess.Popen(command, stdout=sys.stderr)
        try:
            key = home / "data/admin.key"
            begin = time.monotonic()
            while not (key.exists() and key.read_text().strip() and ready(home / "toolgate.yaml")):
                if process.poll() is not None or time.monotonic() - begin > READY_SECONDS:
                    raise RuntimeError("the gateway does not start, or its upstream is not ready")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/mcp", key.read_text().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def elicit(_context: Any, params: Any) -> ElicitResult:
    """Accepts with the defaults; `confirmed` where it is asked for without one."""
    members = (getattr(params, "requested_schema", None) or {}).get("properties", {})
    content = {name: schema["default"] for name, schema in members.items() if "default" in schema}
    content |= {name: True for name, schema in members.items() if name not in content and schema.get("type") == "boolean"}
    return ElicitResult(action="accept", content=content)


async def sample(_context: Any, _params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="sampled"), model="a-model")


async def roots(_context: Any) -> ListRootsResult:
    return ListRootsResult(roots=[])


@contextlib.asynccontextmanager
async def connected(endpoint: str, key: str) -> Any:
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http:
        async with Client(
            streamable_http_client(endpoint, http_client=http),
            mode="auto" if MODERN else "legacy",
            elicitation_callback=elicit,
            sampling_callback=sample,
            list_roots_callback=roots,
        ) as client:
            yield client


def arguments(schema: dict[str, Any]) -> dict[str, Any]:
    """The least that a tool wants."""
    members = schema.get("properties", {})
    return {name: BY_TYPE.get(members.get(name, {}).get("type"), "x") for name in schema.get("required", [])}


def ready(config: pathlib.Path) -> bool:
    """Whether the gateway has heard of its upstream what that offers."""
    command = [os.environ["TOOLGATE"], "upstreams", "list", "--json", "--config", str(config)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return bool(listed) and json.loads(listed)[0].get("status", {}).get("state") == "ready"


async def tried(call: Any) -> None:
    try:
        print(await call, file=sys.stderr)
    except MCPError as error:
        print(f"refused: {error}", file=sys.stderr)


async def drive(endpoint: str, key: str) -> None:
    async with connected(endpoint, key) as client:
        tools = []
        # A server that says it has none is not asked.
        with contextlib.suppress(MCPError):
            tools = (await client.list_tools()).tools
        named = {tool.name: tool for tool in tools}
        print(f"{SCENARIO}: {sorted(named)}", file=sys.stderr)
        match SCENARIO:
            case "initialize" | "json-schema-ref-no-deref":
                pass
            case "request-metadata" if not named:
                pass
            case "tools_call" | "request-metadata":
                result = await client.call_tool("add_numbers", {"a": 5, "b": 3})
                assert not result.is_error, result
            case "sse-retry":
                result = await client.call_tool("test_reconnection", {})
                assert not result.is_error, result
            case "elicitation-sep1034-client-defaults":
                result = await client.call_tool("test_client_elicitation_defaults", {})
                assert not result.is_error, result
            case "json-schema-2020-12-preservation":
                schema = named["json_schema_2020_12_tool"].input_schema
                await client.call_tool("json_schema_echo", {"schema": schema})
            case "http-custom-headers":
                for call in CONTEXT.get("toolCalls", []):
                    await tried(client.call_tool(call["name"], call.get("arguments") or {}))
            case "sep-2322-client-request-state":
                for name in ("echo_state", "unrelated", "no_state", "no_result_type"):
                    await tried(client.call_tool(f"test_mrtr_{name}", {}))
            case _:
                for tool in tools:
                    await tried(client.call_tool(tool.name, arguments(tool.input_schema)))
                with contextlib.suppress(MCPError):
                    for resource in (await client.list_resources()).resources:
                        await tried(client.read_resource(str(resource.uri)))
                with contextlib.suppress(MCPError):
                    for prompt in (await client.list_prompts()).prompts:
                        await tried(client.get_prompt(prompt.name, {}))


def main() -> None:
    with gateway(sys.argv[-1]) as (endpoint, key):
        asyncio.run(asyncio.wait_for(drive(endpoint, key), 80))


if __name__ == "__main__":
    main()
