// Names at the endpoint of two upstreams: node names.mjs URL CONFLICTING OTHER, called by through.sh.
//
// CONFLICTING is a tool of both `first` and `second`, OTHER one of `second` alone. With `on-conflict` the conflicting one
// bears the name of its server and every other its own; each answers from its own server, and by its full name too.

const [url, conflicting, other] = process.argv.slice(2);

async function ask(method, params) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': method,
    ...(params.name && { 'mcp-name': params.name }),
  };
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'names', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: meta } });
  const text = await (await fetch(url, { method: 'POST', headers, body })).text();
  const data = text.split('\n').filter((line) => line.startsWith('data:')).at(-1)?.slice(5) ?? text;
  return JSON.parse(data);
}

function check(truth, what) {
  if (truth) return;
  console.error(`names.mjs: ${what}`);
  process.exit(1);
}

async function says(name, wanted) {
  const answer = await ask('tools/call', { name, arguments: {} });
  const text = answer.result?.content?.[0]?.text ?? JSON.stringify(answer.error);
  check(text.startsWith(wanted), `${name} answers: ${text}`);
}

const listed = (await ask('tools/list', {})).result.tools.map((tool) => tool.name);
const prefixed = listed.filter((name) => name.includes('__')).sort();
check(prefixed.join() === `first__${conflicting},second__${conflicting}`, `prefixed are: ${prefixed}`);
check(!listed.includes(conflicting), `${conflicting} is listed without its server`);
check(listed.includes(other), `${other} is not listed by its own name`);
check(new Set(listed).size === listed.length, 'a name is listed twice');
await says(`second__${conflicting}`, `second: ${conflicting}`);
await says(`first__${conflicting}`, 'This is a simple text response');
await says(other, `second: ${other}`);
await says(`second__${other}`, `second: ${other}`);
const bare = await ask('tools/call', { name: conflicting, arguments: {} });
check(bare.error?.code === -32602, `${conflicting} without its server answers ${JSON.stringify(bare)}`);
console.log(`through, two upstreams, names: ${listed.length} tools, ${prefixed.length} of them prefixed, none other`);
