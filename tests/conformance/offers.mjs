// Whether a server is offered: node offers.mjs URL, called by through.sh; exits 1 while its door has no list of tools.

const headers = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': 'tools/list',
};
const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'offers', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};
const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta: meta } });
try {
  const answer = await fetch(process.argv[2], { method: 'POST', headers, body });
  process.exitCode = (await answer.text()).includes('"tools":') ? 0 : 1;
} catch {
  process.exitCode = 1;
}
