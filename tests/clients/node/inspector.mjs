// MCP Inspector's command lines, driven against a running server in both eras: node inspector.mjs [all]
//
// `--cli` lists, calls and, where INSPECT_URI names a resource, reads it; each is a process and a connection of its own, as
// people run it. Needs MCP_URL, INSPECT_TOOL (called without arguments) and, for a server that asks for one, MCP_KEY.
// With `all`, for the fixture server (MCP_METRICS and MCP_PID_FILE as for gate.mjs):
// - `--cli` is interrupted in the middle of a call, which must end the tool. It cannot answer a question of the server's
//   and keeps no connection that could be taken up again.
// - `mcpdo`, the package's other command line, keeps one in a daemon: the user is asked and answers, and the server is
//   killed and comes back without its sessions. Interrupted, it only stops waiting and its daemon lets the call go on,
//   so that it cannot cancel one.
// Prints one JSON line; exits 1 on a deviation.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cancelledCalls, expect, held, recorded, restart } from './fixture.mjs';

const CLIENTS = join(dirname(fileURLToPath(import.meta.url)), 'node_modules/@modelcontextprotocol/inspector/clients');
const CLI = join(CLIENTS, 'launcher/build/index.js');
const MCPDO = join(CLIENTS, 'mcpdo/build/mcp-bin.js');
const { MCP_URL: url, MCP_KEY: key, MCP_METRICS: metrics, INSPECT_TOOL: tool, INSPECT_URI: uri } = process.env;
const ERAS = ['legacy', 'modern'];
const FORM = { username: 'ada', email: 'ada@example.org' };

// It keeps a catalogue, credentials and the daemon's socket in its home: an empty one for each run.
const surroundings = (home) => ({ PATH: process.env.PATH, HOME: home, MCP_INSPECTOR_DAEMON_DIR: join(home, 'daemon') });
const words = (era, method) => {
  const header = key ? ['--header', `Authorization: Bearer ${key.trim()}`] : [];
  return [CLI, '--cli', url, '--transport', 'http', '--protocol-era', era, '--quiet', ...header, '--method', ...method];
};

async function run(home, args) {
  const options = { env: surroundings(home), timeout: 30_000, maxBuffer: 16 << 20 };
  return (await promisify(execFile)(process.execPath, args, options)).stdout;
}

async function walk(home, era) {
  const inspect = async (...method) => JSON.parse(await run(home, words(era, method)));
  const tools = (await inspect('tools/list')).tools.map((one) => one.name);
  expect(tools.includes(tool), `${tool} is not listed`);
  const result = await inspect('tools/call', '--tool-name', tool);
  expect(!result.isError && result.content?.[0]?.text, `${tool} returned ${JSON.stringify(result).slice(0, 500)}`);
  const seen = { era, tools: tools.length, called: result.content[0].text.slice(0, 40) };
  if (uri) {
    const read = (await inspect('resources/read', '--uri', uri)).contents;
    expect(read?.[0]?.uri === uri && read[0].text, `${uri} reads as ${JSON.stringify(read).slice(0, 500)}`);
    seen.read = read[0].text.slice(0, 40);
  }
  return seen;
}

// Interrupted as a terminal does it: the whole group, the launcher and what it started.
async function interrupt(home, era) {
  const before = await cancelledCalls(metrics);
  const args = words(era, ['tools/call', '--tool-name', 'hold', '--tool-arg', 'seconds=50']);
  const child = spawn(process.execPath, args, { env: surroundings(home), detached: true, stdio: 'ignore' });
  const end = once(child, 'exit');
  try {
    await held(url, '1');
    process.kill(-child.pid, 'SIGINT');
    const after = await held(url, '0');
    await recorded(metrics, before);
    await end;
    return after;
  } finally {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
  }
}

async function keeps(home, era) {
  const mcpdo = async (...args) => JSON.parse(await run(home, [MCPDO, '--format', 'json', '--connection', era, ...args]));
  const text = (result) => {
    expect(!result.isError && result.content?.[0]?.text, `${era}: ${JSON.stringify(result).slice(0, 500)}`);
    return result.content[0].text;
  };
  const asked = async () => {
    const { elicitationPending: question } = await mcpdo('tools/call', 'test_elicitation', 'message:=Who is it?');
    expect(question?.message === 'Who is it?', `${era}: the user was asked ${JSON.stringify(question)}`);
    const fields = Object.entries(FORM).map(([name, value]) => `${name}:=${value}`);
    const answered = text(await mcpdo('elicitation/respond', question.elicitationId, ...fields));
    expect(Object.values(FORM).every((value) => answered.includes(value)), `${era}: the tool was answered ${answered}`);
  };
  const made = await mcpdo('connect', url, '--transport', 'http', '--era', era);
  expect(made.protocolEra === era, `${era}: connected as ${made.protocolEra}`);
  const tools = (await mcpdo('tools/list')).tools.map((one) => one.name);
  expect(tools.includes(tool), `${era}: ${tool} is not listed`);
  const [read] = (await mcpdo('resources/read', uri)).contents;
  expect(read.uri === uri && read.text, `${era}: ${uri} reads as ${JSON.stringify(read)}`);
  await asked();
  await restart(metrics);
  // The same connection of the daemon, which begins a new session by itself.
  const called = text(await mcpdo('tools/call', tool));
  await asked();
  return { era, tools: tools.length, asked: 2, after_restart: called.slice(0, 40) };
}

const all = process.argv[2] === 'all';
const home = mkdtempSync(join(tmpdir(), 'inspector-'));
try {
  expect(url && tool && (!all || (uri && metrics)), 'set MCP_URL and INSPECT_TOOL; for all, INSPECT_URI and MCP_METRICS as well');
  const seen = { client: 'inspector', runs: await Promise.all(ERAS.map((era) => walk(home, era))) };
  if (all) {
    seen.stopped_after_ms = {};
    for (const era of ERAS) seen.stopped_after_ms[era] = await interrupt(home, era);
    seen.mcpdo = [];
    try {
      for (const era of ERAS) seen.mcpdo.push(await keeps(home, era));
    } finally {
      await run(home, [MCPDO, 'daemon', 'stop']);
    }
  }
  console.log(JSON.stringify(seen));
} catch (error) {
  console.error(`inspector.mjs: ${error.message.replaceAll(key?.trim() || '\0', '(key)')}\n${(error.stderr ?? '').slice(-2000)}`);
  process.exitCode = 1;
} finally {
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}
