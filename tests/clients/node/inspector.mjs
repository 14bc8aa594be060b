// MCP Inspector's command line, driven against a running server in both eras: node inspector.mjs
//
// Lists, calls and, where INSPECT_URI names a resource, reads it; each is a process of its own, as people run it. Needs
// MCP_URL, INSPECT_TOOL (called without arguments) and, for a server that asks for one, MCP_KEY. Prints one JSON line;
// exits 1 on a deviation.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const CLI = join(dirname(fileURLToPath(import.meta.url)), 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');
const { MCP_URL: url, MCP_KEY: key, INSPECT_TOOL: tool, INSPECT_URI: uri } = process.env;

function expect(condition, what) {
  if (!condition) throw new Error(what);
}

// It keeps a catalogue and credentials in its home: an empty one for each run.
async function inspect(home, era, ...method) {
  const header = key ? ['--header', `Authorization: Bearer ${key.trim()}`] : [];
  const args = ['--cli', url, '--transport', 'http', '--protocol-era', era, '--quiet', ...header, '--method', ...method];
  const env = { PATH: process.env.PATH, HOME: home };
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...args], { env, timeout: 30_000, maxBuffer: 16 << 20 });
  return JSON.parse(stdout);
}

async function walk(home, era) {
  const tools = (await inspect(home, era, 'tools/list')).tools.map((one) => one.name);
  expect(tools.includes(tool), `${tool} is not listed`);
  const result = await inspect(home, era, 'tools/call', '--tool-name', tool);
  expect(!result.isError && result.content?.[0]?.text, `${tool} returned ${JSON.stringify(result).slice(0, 500)}`);
  const seen = { era, tools: tools.length, called: result.content[0].text.slice(0, 40) };
  if (uri) {
    const read = (await inspect(home, era, 'resources/read', '--uri', uri)).contents;
    expect(read?.[0]?.uri === uri && read[0].text, `${uri} reads as ${JSON.stringify(read).slice(0, 500)}`);
    seen.read = read[0].text.slice(0, 40);
  }
  return seen;
}

const home = mkdtempSync(join(tmpdir(), 'inspector-'));
try {
  expect(url && tool, 'set MCP_URL and INSPECT_TOOL');
  console.log(JSON.stringify({ client: 'inspector', runs: await Promise.all(['legacy', 'modern'].map((era) => walk(home, era))) }));
} catch (error) {
  console.error(`inspector.mjs: ${error.message.replaceAll(key?.trim() || '\0', '(key)')}\n${(error.stderr ?? '').slice(-2000)}`);
  process.exitCode = 1;
} finally {
  rmSync(home, { recursive: true });
}
