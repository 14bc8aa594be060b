#!/usr/bin/env bash
# Real MCP clients against a real gateway: run.sh PATH/TO/toolgate PATH/TO/conformance_gate
#
# Starts the gateway on a fresh data directory, drives it with every client over Streamable HTTP and, while it runs, over
# stdio on the same directory, and asks it to stop. Its own tools ask nobody and take no time: what needs that (a user
# asked, a call given up, a stream taken up again, a server killed in the middle) is driven against the fixture server
# behind the same edge and engine. rmcp's client, in Rust, does the same among the integration tests. Needs PYTHON, PYTHON_PACKAGES and NODE, as scripts/test.sh sets them.
set -euo pipefail
TOOLGATE="$(realpath "$1")"
GATE="$(realpath "$2")"
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${PYTHON:?}" "${PYTHON_PACKAGES:?}" "${NODE:?}"

DATA="$(mktemp -d)"
GATEWAY=
KEEPER=
end() {
  local code=$?
  # The one that starts the fixture before the fixture, or there is a new one.
  for process in $GATEWAY $KEEPER $(cat "$DATA/fixture.pid" 2>/dev/null); do kill -KILL "$process" 2>/dev/null && wait "$process" 2>/dev/null || true; done
  if ((code != 0)); then
    for log in "$DATA"/*.log; do
      [[ -e $log ]] || continue
      printf '\nlast lines of %s:\n' "${log##*/}" >&2
      tail -n 40 "$log" >&2
    done
  fi
  rm -rf "$DATA"
}
trap end EXIT

# The kernel names a free port; another process could take it before the gateway does, and then `wait_until_up` fails.
free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# wait_until_up PID PORT [FILE]: listens, and has written FILE.
wait_until_up() {
  local deadline=$((SECONDS + 30))
  until [[ -z ${3:-} || -s ${3:-} ]] && (: <"/dev/tcp/127.0.0.1/$2") 2>/dev/null; do
    kill -0 "$1" 2>/dev/null || { printf 'run.sh: the gateway ended before it listened\n' >&2; exit 1; }
    ((SECONDS < deadline)) || { printf 'run.sh: the gateway does not listen after 30 s\n' >&2; exit 1; }
    sleep 0.1
  done
}

# keep COMMAND...: run it again whenever it is killed; its process id is in fixture.pid. One that ends by itself is broken.
keep() {
  local code
  while :; do
    "$@" &
    printf '%s' $! >"$DATA/fixture.new"
    mv "$DATA/fixture.new" "$DATA/fixture.pid"
    code=0
    wait $! || code=$?
    ((code == 137)) || { printf 'run.sh: the fixture ended with %s\n' "$code" >&2; return 1; }
  done
}

python() { PYTHONPATH="$PYTHON_PACKAGES" "$PYTHON" "$@"; }

PORT="$(free_port)"
"$TOOLGATE" serve --listen "127.0.0.1:$PORT" --data "$DATA/gateway" >"$DATA/serve.log" 2>&1 &
GATEWAY=$!
wait_until_up "$GATEWAY" "$PORT" "$DATA/gateway/admin.key"

MCP_URL="http://127.0.0.1:$PORT/mcp"
MCP_KEY="$(<"$DATA/gateway/admin.key")"
export MCP_URL MCP_KEY
for client in mcp fastmcp; do
  python python/drive.py "$client" http
  python python/drive.py "$client" stdio "$TOOLGATE" stdio --data "$DATA/gateway"
done
for client in client sdk; do
  "$NODE" node/drive.mjs "$client" http
  "$NODE" node/drive.mjs "$client" stdio "$TOOLGATE" stdio --data "$DATA/gateway"
done
INSPECT_TOOL=omnipotent__health_check INSPECT_URI=system://report "$NODE" node/inspector.mjs

# Asked to stop, it ends by itself and reports success.
kill -TERM "$GATEWAY"
STOPPED=$GATEWAY
GATEWAY=
wait "$STOPPED"

PORT="$(free_port)"
keep "$GATE" "127.0.0.1:$PORT" >"$DATA/gate.log" 2>&1 &
KEEPER=$!
wait_until_up "$KEEPER" "$PORT"
unset MCP_KEY
MCP_URL="http://127.0.0.1:$PORT/mcp/conformance"
export MCP_METRICS="http://127.0.0.1:$PORT/metrics" MCP_PID_FILE="$DATA/fixture.pid"
for client in mcp fastmcp; do python python/gate.py "$client"; done
for client in client sdk; do "$NODE" node/gate.mjs "$client"; done
INSPECT_TOOL=test_simple_text INSPECT_URI=test://static-text "$NODE" node/inspector.mjs all
