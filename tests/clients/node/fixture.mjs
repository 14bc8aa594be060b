// What the fixture server says of itself, and its end; for gate.mjs and inspector.mjs.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

// How often the gateway itself saw a call of hold cancelled.
export async function cancelledCalls(metrics) {
  const wanted = 'mcp_tool_errors_total{server="conformance",tool="hold",error_type="cancelled"} ';
  const page = await (await fetch(metrics)).text();
  return page.split('\n').filter((line) => line.startsWith(wanted)).reduce((sum, line) => sum + Number(line.slice(wanted.length)), 0);
}

// Wait until so many calls of hold run, by the server's own word; how many milliseconds it took.
export async function held(url, wanted) {
  const begin = Date.now();
  for (;;) {
    const headers = { 'content-type': 'application/json' };
    const answer = await (await fetch(`${url}/tools/holding`, { method: 'POST', headers, body: '{"params":{}}' })).json();
    if (answer.data.content[0].text === wanted) return Date.now() - begin;
    expect(Date.now() - begin < 10_000, `after 10 s ${JSON.stringify(answer.data)} is not ${wanted} running calls`);
    await sleep(50);
  }
}

// Wait for the record of a call cancelled after so many others.
export async function recorded(metrics, before) {
  const begin = Date.now();
  while ((await cancelledCalls(metrics)) !== before + 1) {
    expect(Date.now() - begin < 10_000, 'the call was not recorded as cancelled');
    await sleep(50);
  }
}

// Kill the server; run.sh starts another one in its place.
export async function restart(metrics) {
  const file = process.env.MCP_PID_FILE;
  const old = readFileSync(file, 'utf8');
  process.kill(Number(old), 'SIGKILL');
  const begin = Date.now();
  for (;;) {
    await sleep(50);
    expect(Date.now() - begin < 20_000, 'the server does not come back');
    if (['', old].includes(readFileSync(file, 'utf8'))) continue;
    if (await fetch(metrics).then((answer) => answer.ok, () => false)) return;
  }
}
