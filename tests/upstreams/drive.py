"""A client of real MCP servers behind the gateway: drive.py, called by run.sh, which sets MCP_URL, MCP_KEY, MCP_WORK and MCP_SITE.

Once as a client of the handshake revisions ("legacy") and once of 2026-07-28 ("auto"): what is listed through each kind of
door, real calls of each server, what the sandbox refuses, a user asked in the middle of a call, resources, prompts and
completion; then each server is killed and called again. Prints one JSON line for each era; exits 1 on any deviation.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import sys
import time
from typing import Any

from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import CreateMessageResult, ElicitResult, PromptReference, ResourceUpdatedNotification, TextContent

URL, KEY, SITE = os.environ["MCP_URL"], os.environ["MCP_KEY"], os.environ["MCP_SITE"]
WORK = pathlib.Path(os.environ["MCP_WORK"])
SERVERS = ("everything", "fetch", "fetch-local", "filesystem", "git", "memory", "time")
MODERN = "2026-07-28"
LIMIT_SECONDS = 240


class Deviation(Exception):
    """Something is not as it should be."""


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Deviation(what)


class User:
    """Who is asked in the middle of a call."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.updated: asyncio.Queue[str] = asyncio.Queue()

    async def hear(self, message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.updated.put_nowait(str(message.params.uri))

    async def elicit(self, _context: Any, params: Any) -> ElicitResult:
        self.asked.append("elicitation")
        return ElicitResult(action="accept", content={"name": "Ada Lovelace", "check": True})

    async def sample(self, _context: Any, params: Any) -> CreateMessageResult:
        self.asked.append("sampling")
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="As sampled."), model="a-model")



@contextlib.asynccontextmanager
async def connected(path: str, mode: str, user: User) -> Any:
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {KEY}"}) as http:
        client = Client(
            streamable_http_client(URL + path, http_client=http),
            mode=mode,
            elicitation_callback=user.elicit,
            sampling_callback=user.sample,
            message_handler=user.hear,
        )
        async with client:
            expect((client.protocol_version == MODERN) == (mode == "auto"), f"{mode} ended in {client.protocol_version}")
            yield client


async def tools(client: Client) -> list[str]:
    listed = await client.list_tools()
    names = [tool.name for tool in listed.tools]
    while listed.next_cursor:
        listed = await client.list_tools(cursor=listed.next_cursor)
        names += [tool.name for tool in listed.tools]
    return names


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


async def call(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    expect(not result.is_error, f"{tool} failed: {text(result)[:400]}")
    return text(result)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    expect(bool(result.is_error), f"{tool} with {arguments} was not refused: {text(result)[:400]}")
    return text(result)


async def ready(mode: str) -> None:
    """Until each server is offered."""
    begin, missing = time.monotonic(), set(SERVERS)
    while missing:
        async with connected("/mcp", mode, User()) as client:
            missing = set(SERVERS) - {name.split("__")[0] for name in await tools(client)}
        expect(time.monotonic() - begin < 60, f"after 60 s there is nothing of {missing}")
        await asyncio.sleep(0.2)


async def files(client: Client) -> None:
    there, outside = str(WORK / "files/there.txt"), str(WORK / "outside.txt")
    expect("What the file says." in await call(client, "filesystem__read_text_file", path=there), "another text was read")
    await call(client, "filesystem__write_file", path=str(WORK / "files/new.txt"), content="Written through the gateway.")
    expect((WORK / "files/new.txt").read_text() == "Written through the gateway.", "another text was written")
    said = await refused(client, "filesystem__read_text_file", path=outside)
    expect("denied" in said.lower() and "secret" not in said, f"outside: {said}")
    await refused(client, "filesystem__write_file", path=str(WORK / "outside2.txt"), content="x")
    expect(not (WORK / "outside2.txt").exists(), "a file was written outside of what is allowed")


async def repository(client: Client) -> None:
    where = str(WORK / "repository")
    expect("The first commit" in await call(client, "git__git_log", repo_path=where), "another log")
    expect("new.txt" in await call(client, "git__git_status", repo_path=where), "another status")


async def graph(client: Client, mode: str) -> None:
    entity = {"name": f"lamp-{mode}", "entityType": "thing", "observations": ["It is red."]}
    await call(client, "memory__create_entities", entities=[entity])
    expect("It is red." in await call(client, "memory__search_nodes", query=f"lamp-{mode}"), "nothing was remembered")


async def clock(client: Client) -> None:
    converted = json.loads(
        await call(client, "time__convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")
    )
    expect("T21:00" in converted["target"]["datetime"], f"noon became {converted}")


async def web(client: Client) -> None:
    said = await refused(client, "fetch__fetch", url=SITE)
    expect("page of this machine" not in said, f"a page of this machine was fetched: {said}")
    # Nor does a list of hosts open what is private.
    await refused(client, "fetch-local__fetch", url=SITE.replace("127.0.0.2", "127.0.0.3"))
    fetched = await call(client, "fetch-local__fetch", url=SITE)
    expect("A page of this machine." in fetched, f"fetched: {fetched}")


async def everything(client: Client, user: User) -> None:
    expect("Echo: hello" in await call(client, "everything__echo", message="hello"), "another echo")
    seen: list[float] = []

    async def progress(done: float, _total: float | None, _message: str | None) -> None:
        seen.append(done)

    long = {"duration": 1, "steps": 4}
    result = await client.call_tool("everything__trigger-long-running-operation", long, progress_callback=progress)
    expect(not result.is_error and len(seen) >= 3 and seen == sorted(seen), f"progress {seen}, {text(result)}")
    answered = await call(client, "everything__trigger-elicitation-request")
    expect("Ada Lovelace" in answered, f"the user's answer became: {answered}")
    sampled = await call(client, "everything__trigger-sampling-request", prompt="Say something.", maxTokens=50)
    expect("As sampled." in sampled, f"what was sampled became: {sampled}")
    expect(user.asked == ["elicitation", "sampling"], f"the user was asked {user.asked}")


async def offers(client: Client) -> dict[str, int]:
    resources = [str(resource.uri) for resource in (await client.list_resources()).resources]
    document = next(uri for uri in resources if uri.endswith("features.md"))
    contents = (await client.read_resource(document)).contents[0]
    expect("Everything Server" in contents.text, "another document was read")
    templates = (await client.list_resource_templates()).resource_templates
    expect(any("dynamic/text" in template.uri_template for template in templates), f"templates {templates}")
    prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
    prompt = next(name for name in prompts if name.endswith("args-prompt"))
    got = (await client.get_prompt(prompt, {"city": "London"})).messages[0].content.text
    expect("London" in got, f"the prompt says {got}")
    completable = next(name for name in prompts if name.endswith("completable-prompt"))
    reference = PromptReference(type="ref/prompt", name=completable)
    completed = await client.complete(reference, {"name": "department", "value": "S"})
    expect(completed.completion.values == ["Sales", "Support"], f"completed {completed.completion.values}")
    return {"resources": len(resources), "templates": len(templates), "prompts": len(prompts)}


async def subscribed(client: Client, mode: str, user: User) -> None:
    """Both eras hear of a resource that is watched. `everything` tells of changes only in the session that its own tool was
    called in: at once, and then every five seconds."""
    watched = "demo://resource/static/document/features.md"
    toggle = "everything__toggle-subscriber-updates"

    async def told(news: Any) -> None:
        async for uri in news:
            if uri == watched:
                return

    async def heard() -> Any:
        while True:
            yield await user.updated.get()

    async def toggled(news: Any) -> None:
        expect("Started" in await call(client, toggle), "updates were started before")
        await asyncio.wait_for(told(news), 20)
        expect("Stopped" in await call(client, toggle), "updates were not started")

    if mode == "legacy":
        await client.subscribe_resource(watched)
        await toggled(heard())
        await client.unsubscribe_resource(watched)
    else:
        async with client.listen(resource_subscriptions=[watched]) as subscription:
            await toggled(event.uri async for event in subscription if isinstance(event, ResourceUpdated))


async def doors(mode: str) -> dict[str, int]:
    counted = {}
    for path, expected in (("/mcp/time", {"get_current_time", "convert_time"}), ("/mcp/v/desk", {"convert_time", "say", "git_log"})):
        async with connected(path, mode, User()) as client:
            listed = await tools(client)
            expect(set(listed) == expected and len(listed) == len(expected), f"{path} lists {listed}")
            counted[path] = len(listed)
            if path == "/mcp/v/desk":
                expect("Echo: there" in await call(client, "say", message="there"), "another echo")
            noon = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
            expect("T21:00" in await call(client, "convert_time", **noon), "another time")
    return counted


def processes(word: str) -> list[int]:
    """Processes of this run whose command line has this word, by the mark in their environment."""
    mark, found = f"UPSTREAM_MARK={WORK}".encode(), []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if mark in (entry / "environ").read_bytes().split(b"\0") and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


async def attempt(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """What is said of a call, if anything is wrong."""
    try:
        result = await asyncio.wait_for(client.call_tool(tool, arguments), 30)
    except MCPError as error:
        return str(error)
    return text(result) if result.is_error else "went on"


async def killed(client: Client) -> dict[str, str]:
    """Each server killed: the next call works, or says which server is gone and then works."""
    calls = {
        "time": ("mcp_server_time", "time__get_current_time", {"timezone": "UTC"}),
        "everything": ("server-everything", "everything__echo", {"message": "again"}),
        "git": ("mcp_server_git", "git__git_log", {"repo_path": str(WORK / "repository")}),
    }
    seen = {}
    for server, (word, tool, arguments) in calls.items():
        before = processes(word)
        expect(bool(before), f"no process of {server}")
        for process in before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        said = first = await attempt(client, tool, arguments)
        begin = time.monotonic()
        while said != "went on":
            expect(server in said, f"{server}, killed, is not named: {said}")
            expect(time.monotonic() - begin < 20, f"{server} does not come back: {said}")
            await asyncio.sleep(0.2)
            said = await attempt(client, tool, arguments)
        seen[server] = first
        expect(not set(before) & set(processes(word)), f"{server}: a killed process is still there")
    return seen


async def walk(mode: str) -> dict[str, Any]:
    await ready(mode)
    user = User()
    async with connected("/mcp", mode, user) as client:
        listed = await tools(client)
        expect(len(listed) == len(set(listed)), "a name is listed twice")
        expect(all(name.split("__")[0] in SERVERS for name in listed), f"tools listed: {listed}")
        await files(client)
        await repository(client)
        await graph(client, mode)
        await clock(client)
        await web(client)
        await everything(client, user)
        counted = await offers(client)
        await subscribed(client, mode, user)
        through = await doors(mode)
        gone = await killed(client)
    return {"mode": mode, "tools": len(listed), **counted, "doors": through, "killed": gone}


def first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main() -> int:
    for mode in ("legacy", "auto"):
        try:
            seen = asyncio.run(asyncio.wait_for(walk(mode), LIMIT_SECONDS))
        except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
            cause = first_cause(error)
            said = str(cause) if isinstance(cause, Deviation) else f"{type(cause).__name__}: {cause}"
            print(f"drive.py {mode}: {said}", file=sys.stderr)
            return 1
        print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
