#!/usr/bin/env bash
# Registers the upstream with ContextForge as its README does it (gateway, then a virtual server with its tool), and prints
# what the bench must know: the token and the server's id. Called by the bench once the port of the gateway answers.
set -euo pipefail
peers=$1 url=$2 upstream=$3
python="$peers/mcp-contextforge-gateway/bin/python"
exec "$python" - "$url" "$upstream" <<'PYTHON'
import json, subprocess, sys, time, urllib.error, urllib.request

url, upstream = sys.argv[1:]
token = subprocess.run(
    [sys.executable, "-m", "mcpgateway.utils.create_jwt_token", "--username", "admin@example.com", "--exp", "10080", "--admin"],
    check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split()[-1]

def ask(path, body=None):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers), timeout=10) as answer:
        return json.load(answer)

begin = time.monotonic()
while True:
    try:
        ask("/health")
        break
    except (urllib.error.URLError, OSError):
        if time.monotonic() - begin > 90:
            raise
        time.sleep(0.2)
ask("/gateways", {"name": "bench", "url": upstream, "transport": "STREAMABLEHTTP", "visibility": "public"})
while not (tools := ask("/tools")):
    time.sleep(0.2)
server = ask("/servers", {"server": {"name": "bench", "associated_tools": [tools[0]["id"]], "visibility": "public"}})
print(f"token={token}\nserver={server['id']}")
PYTHON
