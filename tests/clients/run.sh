#!/usr/bin/env bash
# Real MCP clients against a real gateway: run.sh PATH/TO/toolgate
#
# Starts it on a fresh data directory, drives it with every client over Streamable HTTP and, while it runs, over stdio
# on the same directory, and asks it to stop. Needs PYTHON, PYTHON_PACKAGES and NODE, as scripts/test.sh sets them.
set -euo pipefail
TOOLGATE="$(realpath "$1")"
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${PYTHON:?}" "${PYTHON_PACKAGES:?}" "${NODE:?}"

DATA="$(mktemp -d)"
GATEWAY=
end() {
  local code=$?
  [[ -z $GATEWAY ]] || kill -KILL "$GATEWAY" 2>/dev/null || true
  if ((code != 0)) && [[ -e $DATA/serve.log ]]; then
    printf '\nlast lines of the gateway:\n' >&2
    tail -n 40 "$DATA/serve.log" >&2
  fi
  rm -rf "$DATA"
}
trap end EXIT

# The kernel names a free port; another process could take it before the gateway does, and then `wait_until_up` fails.
PORT="$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"

"$TOOLGATE" serve --listen "127.0.0.1:$PORT" --data "$DATA/gateway" >"$DATA/serve.log" 2>&1 &
GATEWAY=$!

wait_until_up() {
  local deadline=$((SECONDS + 30))
  until [[ -s $DATA/gateway/admin.key ]] && (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; do
    kill -0 "$GATEWAY" 2>/dev/null || { printf 'run.sh: the gateway ended before it listened\n' >&2; exit 1; }
    ((SECONDS < deadline)) || { printf 'run.sh: the gateway does not listen after 30 s\n' >&2; exit 1; }
    sleep 0.1
  done
}
wait_until_up

MCP_URL="http://127.0.0.1:$PORT/mcp"
MCP_KEY="$(<"$DATA/gateway/admin.key")"
export MCP_URL MCP_KEY
PYTHONPATH="$PYTHON_PACKAGES" "$PYTHON" python/drive.py http
"$NODE" node/drive.mjs http
PYTHONPATH="$PYTHON_PACKAGES" "$PYTHON" python/drive.py stdio "$TOOLGATE" stdio --data "$DATA/gateway"
"$NODE" node/drive.mjs stdio "$TOOLGATE" stdio --data "$DATA/gateway"

# Asked to stop, it ends by itself and reports success.
kill -TERM "$GATEWAY"
STOPPED=$GATEWAY
GATEWAY=
wait "$STOPPED"
