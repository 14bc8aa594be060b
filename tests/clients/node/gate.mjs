// The TypeScript MCP clients, driven against the fixture server behind the gateway's own edge and engine.
//
//     MCP_URL=http://127.0.0.1:PORT/mcp/conformance MCP_METRICS=http://127.0.0.1:PORT/metrics MCP_PID_FILE=FILE \
//       node gate.mjs client|sdk
//
// `client` is the newest one, once of the handshake revisions and once of 2026-07-28; `sdk` is the one of the handshake
// revisions alone. What the tools of the real binary do not show: a resource read, the user asked in the middle of a
// call, a call given up, a stream let go by the server and taken up again, a session ended, and a server that is killed (its
// process is in MCP_PID_FILE) and comes back without its sessions. Prints one JSON line; exits 1 on a deviation.

import { setTimeout as sleep } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { cancelledCalls, expect, held, recorded, restart } from './fixture.mjs';

const ANSWER = { username: 'ada', email: 'ada@example.org' };
const ASKED = 'Who is it?';
const CALLED = 'This is a simple text response for testing.';
const HOLD_SECONDS = 50;
const LIMIT_MILLISECONDS = 60_000;
const ABOUT = { name: 'toolgate-gate', version: '1' };
const CAPABILITIES = { elicitation: { form: {} } };

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

// Give up a call that would run for long; how many milliseconds later its tool had ended.
async function giveUp(call, url, metrics) {
  const before = await cancelledCalls(metrics);
  const control = new AbortController();
  const params = { name: 'hold', arguments: { seconds: HOLD_SECONDS } };
  const ended = call(params, { signal: control.signal }).then(() => 'a result', () => 'given up');
  await held(url, '1');
  control.abort();
  expect((await ended) === 'given up', 'a cancelled call came to an end of its own');
  const after = await held(url, '0');
  await recorded(metrics, before);
  return after;
}

// One connection, and what it is asked to do with it.
async function connection(family, mode, url, work) {
  const [client, transport, asked] = [family.make(mode), family.transport(url), []];
  family.answer(client, async (request) => {
    asked.push(request.params.message);
    return { action: 'accept', content: ANSWER };
  });
  await client.connect(transport);
  const call = (params, options) => family.call(client, params, options);
  const text = async (name, args) => {
    const result = await call({ name, arguments: args });
    expect(!result.isError, `${name} failed: ${JSON.stringify(result.content)}`);
    return result.content[0].text;
  };
  const names = async () => (await client.listTools()).tools.map((tool) => tool.name);
  try {
    return await work({ client, transport, asked, call, text, names });
  } finally {
    await client.close();
  }
}

// What everybody does first.
async function greet({ asked, text, names }) {
  const tools = await names();
  for (const tool of ['test_simple_text', 'test_elicitation', 'hold']) expect(tools.includes(tool), `${tool} is not listed`);
  const called = await text('test_simple_text', {});
  expect(called === CALLED, `the call returned ${called}`);
  const answered = await text('test_elicitation', { message: ASKED });
  expect(JSON.stringify(asked) === JSON.stringify([ASKED]), `the user was asked ${JSON.stringify(asked)}`);
  expect(Object.values(ANSWER).every((value) => answered.includes(value)), `the tool was answered ${answered}`);
  return tools.length;
}

// The status that a request in this session gets.
async function asks(url, session) {
  const accept = 'application/json, text/event-stream';
  const headers = { 'content-type': 'application/json', accept, 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' };
  const answer = await fetch(url, { method: 'POST', headers, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
  await answer.arrayBuffer();
  return answer.status;
}

// The server comes back without its sessions. A client of 2026-07-28 has none to lose and goes on; one of the others must
// be told, and a new connection is as good as the first.
async function comesBack(family, mode, url, metrics, { transport, text }) {
  const old = transport.sessionId;
  await restart(metrics);
  const told = await Promise.race([
    text('test_simple_text', {}).then((again) => (again === CALLED ? 'went on' : `returned ${again}`), (error) => `told: ${error.message}`),
    sleep(15_000, 'nothing in 15 s', { ref: false }),
  ]);
  const right = mode === 'legacy' ? told.startsWith('told: ') && told.includes('there is no such session') : told === 'went on';
  expect(right, `after the restart: ${told}`);
  if (mode === 'legacy') expect((await asks(url, old)) === 404, 'the session from before the restart is still there');
  await connection(family, mode, url, async (made) => {
    await greet(made);
    if (mode !== 'legacy') return;
    // Ended by the client itself, a session is gone as well.
    const second = made.transport.sessionId;
    expect(second && second !== old && (await asks(url, second)) === 200, `the new session is ${second}, the old was ${old}`);
    await made.transport.terminateSession();
    expect((await asks(url, second)) === 404, 'a session that was ended is still there');
  });
  if (mode === 'legacy') await connection(family, mode, url, greet);
  return told;
}

async function walk(family, mode, url, metrics) {
  return connection(family, mode, url, async (made) => {
    const { client, transport, call, text } = made;
    const tools = await greet(made);
    const resources = (await client.listResources()).resources.map((resource) => resource.uri);
    expect(resources.includes('test://static-text'), `resources listed: ${resources}`);
    const read = (await client.readResource({ uri: 'test://static-text' })).contents[0].text;
    expect(read === 'This is the content of the static text resource.', `read ${read}`);
    const stopped = await giveUp(call, url, metrics);
    const again = await text('test_reconnection', {});
    expect(again === 'Reconnection test completed', `after the stream was let go: ${again}`);
    const protocol = family.protocol(client, transport);
    const told = await comesBack(family, mode, url, metrics, made);
    return { protocol, tools, resources: resources.length, stopped_after_ms: stopped, after_restart: told };
  });
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
