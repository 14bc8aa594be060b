// The official TypeScript MCP clients, driven against a running gateway.
//
//     MCP_URL=http://127.0.0.1:PORT/mcp MCP_KEY=tg_... node drive.mjs client|sdk http
//     node drive.mjs client|sdk stdio COMMAND [ARGUMENT...]
//
// `client` is the newest one: it connects once as a client of the handshake revisions ("legacy") and once of 2026-07-28;
// `sdk` is the one of the handshake revisions alone. Each time it lists the tools, calls three, reads as a resource
// what one of them wrote and asks for a tool that does not exist. Prints one JSON line of what it saw; exits 1 on any deviation, naming it on standard error. Over HTTP a
// missing and a wrong key must be refused too.

import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Client, ProtocolError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as OldStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as OldHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpError } from '@modelcontextprotocol/sdk/types.js';

const HEALTH = 'omnipotent__health_check';
const REMEMBER = 'a2a-unified__remember';
const RECALL = 'a2a-unified__recall';
const UNKNOWN = 'omnipotent__no_such_tool';
const ABOUT = { name: 'toolgate-drive', version: '1' };
// What differs between the two.
const FAMILIES = {
  client: {
    modes: ['legacy', { pin: '2026-07-28' }],
    make: (mode) => new Client(ABOUT, { versionNegotiation: { mode } }),
    http: StreamableHTTPClientTransport,
    stdio: StdioClientTransport,
    protocol: (client) => client.getNegotiatedProtocolVersion(),
  },
  sdk: {
    modes: ['legacy'],
    make: () => new OldClient(ABOUT),
    http: OldHttp,
    stdio: OldStdio,
    protocol: (_client, transport) => transport.protocolVersion ?? 'not told over stdio',
  },
};
const LIMIT_MILLISECONDS = 60_000;

function expect(condition, what) {
  if (!condition) throw new Error(what);
}

// The object a successful call returned, once as structure and once as text.
function structured(result, tool) {
  const texts = result.content.filter((block) => block.type === 'text').map((block) => block.text);
  expect(!result.isError, `${tool} failed: ${texts.join(' ').slice(0, 500)}`);
  const object = result.structuredContent;
  expect(object && typeof object === 'object', `${tool} returned no structured content`);
  expect(texts.length > 0 && isDeepStrictEqual(JSON.parse(texts[0]), object), `${tool}: text and structure differ`);
  return object;
}

// How the gateway said no: a JSON-RPC error or a result that is an error. Both are legal; success is not.
async function refused(call, what) {
  let result;
  try {
    result = await call;
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof McpError) return `error ${error.code}`;
    throw error;
  }
  expect(result.isError, `${what} succeeded`);
  expect(result.content.some((block) => block.type === 'text' && block.text), `${what}: refused without a reason`);
  return 'isError';
}

// One connection from greeting to goodbye.
async function walk(family, transport, mode) {
  const name = typeof mode === 'string' ? mode : mode.pin;
  const client = family.make(mode);
  await client.connect(transport);
  try {
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    for (const tool of [HEALTH, REMEMBER, RECALL]) expect(tools.includes(tool), `${tool} is not listed`);
    expect(!tools.includes(UNKNOWN), `${UNKNOWN} is listed`);
    expect(new Set(tools).size === tools.length, 'a tool is listed twice');

    const health = structured(await client.callTool({ name: HEALTH, arguments: {} }), HEALTH);
    expect('status' in health, `${HEALTH} has no status`);

    const [key, value] = [`drive-node-${randomUUID()}`, `value \u00e9\u4e16 ${name}`];
    const written = structured(await client.callTool({ name: REMEMBER, arguments: { key, value } }), REMEMBER);
    expect(written.success === true, `${REMEMBER} reports ${JSON.stringify(written)}`);
    const found = structured(await client.callTool({ name: RECALL, arguments: { key } }), RECALL);
    const values = (found.results ?? []).map((row) => row.value);
    expect(isDeepStrictEqual(values, [value]), `${RECALL} returned ${JSON.stringify(values)}, not what was remembered`);

    const uri = `memory://${key}`;
    const listed = (await client.listResources()).resources.map((resource) => resource.uri);
    expect(listed.includes(uri), `${uri} is not listed among ${listed}`);
    const read = (await client.readResource({ uri })).contents[0].text;
    expect(read === value, `${uri} reads as ${JSON.stringify(read)}, not what was remembered`);

    return {
      mode: name,
      protocol: family.protocol(client, transport),
      server: client.getServerVersion()?.name ?? null,
      tools: tools.length,
      health: health.status,
      recalled: values[0] === value,
      read: read === value,
      unknown_tool: await refused(client.callTool({ name: UNKNOWN, arguments: {} }), UNKNOWN),
      bad_argument: await refused(
        client.callTool({ name: REMEMBER, arguments: { kee: 1 } }),
        `${REMEMBER} with a wrong argument`,
      ),
    };
  } finally {
    await client.close();
  }
}

async function each(family, connect) {
  const runs = [];
  for (const mode of family.modes) runs.push(await walk(family, connect(), mode));
  return runs;
}

// Neither nobody nor a stranger gets an answer; the client library hides the status, so ask plainly.
async function lockedOut(url, headers, who) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
  });
  await answer.arrayBuffer();
  expect(answer.status === 401, `${who} got HTTP ${answer.status}, not 401`);
  return answer.status;
}

async function drive([name, transport, command, ...args]) {
  const family = FAMILIES[name];
  if (family && transport === 'http' && command === undefined) {
    const { MCP_URL: url, MCP_KEY: key } = process.env;
    expect(url && key, 'set MCP_URL and MCP_KEY');
    const headers = { Authorization: `Bearer ${key.trim()}` };
    const connect = () => new family.http(new URL(url), { requestInit: { headers } });
    return {
      client: name,
      transport,
      no_key: await lockedOut(url, {}, 'a caller without a key'),
      wrong_key: await lockedOut(url, { authorization: `Bearer tg_${'0'.repeat(12)}_${'0'.repeat(43)}` }, 'a wrong key'),
      runs: await each(family, connect),
    };
  }
  if (family && transport === 'stdio' && command !== undefined) {
    const connect = () => new family.stdio({ command, args });
    return { client: name, transport, runs: await each(family, connect) };
  }
  throw new Error('usage: drive.mjs client|sdk http | drive.mjs client|sdk stdio COMMAND [ARGUMENT...]');
}

const limit = setTimeout(() => {
  console.error(`drive.mjs: no end after ${LIMIT_MILLISECONDS} ms`);
  process.exit(1);
}, LIMIT_MILLISECONDS);
try {
  console.log(JSON.stringify(await drive(process.argv.slice(2))));
} catch (error) {
  console.error(`drive.mjs: ${error.name}: ${error.message}`);
  process.exitCode = 1;
} finally {
  clearTimeout(limit);
}
