// A small legacy server over standard input and output, for the runs with two upstreams: node second.mjs NAME...
//
// Each NAME is a tool that says who answered.

import { createInterface } from 'node:readline';

const names = process.argv.slice(2);
const schema = { type: 'object', properties: {} };
const answers = {
  initialize: (params) => ({
    protocolVersion: params.protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'second', version: '1' },
  }),
  ping: () => ({}),
  'tools/list': () => ({
    tools: names.map((name) => ({ name, description: 'Says who answers.', inputSchema: schema, annotations: { readOnlyHint: true } })),
  }),
  'tools/call': (params) => ({ content: [{ type: 'text', text: `second: ${params.name}` }] }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const answer = answers[method];
  const body = answer ? { result: answer(params) } : { error: { code: -32601, message: `no method ${method}` } };
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...body }));
}
