// The TypeScript MCP clients, driven against the fixture server behind the gateway's own edge and engine.
//
//     MCP_URL=http://127.0.0.1:PORT/mcp/conformance MCP_METRICS=http://127.0.0.1:PORT/metrics node gate.mjs client|sdk
//
// `client` is the newest one, once of the handshake revisions and once of 2026-07-28; `sdk` is the one of the handshake
// revisions alone. What the tools of the real binary do not show: a resource read, the user asked in the middle of a
// call, a call given up, a stream let go by the server and taken up again. Prints one JSON line; exits 1 on a deviation.

import { setTimeout as sleep } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const ANSWER = { username: 'ada', email: 'ada@example.org' };
const SLOW_SECONDS = 50;
const LIMIT_MILLISECONDS = 60_000;
const ABOUT = { name: 'toolgate-gate', version: '1' };
const CAPABILITIES = { elicitation: { form: {} } };

function expect(condition, what) {
  if (!condition) throw new Error(what);
}

// What differs between the two: how one is made, told to answer, and handed the options of a call.
const FAMILIES = {
  client: {
    modes: ['legacy', { pin: '2026-07-28' }],
    make: (mode) => new Client(ABOUT, { capabilities: CAPABILITIES, versionNegotiation: { mode } }),
    transport: (url) => new StreamableHTTPClientTransport(new URL(url)),
    answer: (client, handler) => client.setRequestHandler('elicitation/create', handler),
    call: (client, params, options) => client.callTool(params, options),
    protocol: (client) => client.getNegotiatedProtocolVersion(),
  },
  sdk: {
    modes: ['legacy'],
    make: () => new OldClient(ABOUT, { capabilities: CAPABILITIES }),
    transport: (url) => new OldTransport(new URL(url)),
    answer: (client, handler) => client.setRequestHandler(ElicitRequestSchema, handler),
    call: (client, params, options) => client.callTool(params, undefined, options),
    protocol: (_client, transport) => transport.protocolVersion,
  },
};

// How often the gateway itself saw a call of slow_compute cancelled.
async function cancelledCalls(metrics) {
  const wanted = 'mcp_tool_errors_total{server="conformance",tool="slow_compute",error_type="cancelled"} ';
  const page = await (await fetch(metrics)).text();
  return page.split('\n').filter((line) => line.startsWith(wanted)).reduce((sum, line) => sum + Number(line.slice(wanted.length)), 0);
}

// Give up a call that would run for long; how many milliseconds later the gateway had stopped it.
async function giveUp(call, metrics) {
  const before = await cancelledCalls(metrics);
  const control = new AbortController();
  const params = { name: 'slow_compute', arguments: { seconds: SLOW_SECONDS } };
  const ended = call(params, { signal: control.signal }).then(() => 'a result', () => 'given up');
  // Nothing outside shows that the call has begun; one cancelled before that would fail below.
  await sleep(500);
  const begin = Date.now();
  control.abort();
  expect((await ended) === 'given up', 'a cancelled call came to an end of its own');
  while ((await cancelledCalls(metrics)) === before) {
    expect(Date.now() - begin < 10_000, 'the gateway still runs a call that was given up 10 s ago');
    await sleep(50);
  }
  return Date.now() - begin;
}

async function walk(family, mode, url, metrics) {
  const [client, transport, asked] = [family.make(mode), family.transport(url), []];
  family.answer(client, async (request) => {
    asked.push(request.params.message);
    return { action: 'accept', content: ANSWER };
  });
  await client.connect(transport);
  try {
    const call = (params, options) => family.call(client, params, options);
    const text = async (name, args) => {
      const result = await call({ name, arguments: args });
      expect(!result.isError, `${name} failed: ${JSON.stringify(result.content)}`);
      return result.content[0].text;
    };
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    for (const tool of ['test_simple_text', 'test_elicitation', 'slow_compute']) expect(tools.includes(tool), `${tool} is not listed`);
    const resources = (await client.listResources()).resources.map((resource) => resource.uri);
    expect(resources.includes('test://static-text'), `resources listed: ${resources}`);
    const read = (await client.readResource({ uri: 'test://static-text' })).contents[0].text;
    expect(read === 'This is the content of the static text resource.', `read ${read}`);
    const called = await text('test_simple_text', {});
    expect(called === 'This is a simple text response for testing.', `the call returned ${called}`);

    const answered = await text('test_elicitation', { message: 'Who is it?' });
    expect(JSON.stringify(asked) === '["Who is it?"]', `the user was asked ${JSON.stringify(asked)}`);
    expect(Object.values(ANSWER).every((value) => answered.includes(value)), `the tool was answered ${answered}`);

    const stopped = await giveUp(call, metrics);
    const again = await text('test_reconnection', {});
    expect(again === 'Reconnection test completed', `after the stream was let go: ${again}`);
    return { protocol: family.protocol(client, transport), tools: tools.length, resources: resources.length, stopped_after_ms: stopped };
  } finally {
    await client.close();
  }
}

const limit = setTimeout(() => {
  console.error(`gate.mjs: no end after ${LIMIT_MILLISECONDS} ms`);
  process.exit(1);
}, LIMIT_MILLISECONDS);
const name = process.argv[2];
try {
  const { MCP_URL: url, MCP_METRICS: metrics } = process.env;
  const family = FAMILIES[name];
  expect(family && url && metrics, 'usage: MCP_URL=... MCP_METRICS=... gate.mjs client|sdk');
  const runs = [];
  for (const mode of family.modes) runs.push(await walk(family, mode, url, metrics));
  console.log(JSON.stringify({ client: name, runs }));
} catch (error) {
  console.error(`gate.mjs ${name}: ${error.name}: ${error.message}`);
  process.exitCode = 1;
} finally {
  clearTimeout(limit);
}
