#!/usr/bin/env bash
# The official conformance suite through the gateway, in front of upstreams: through.sh BIN_DIR
#
# BIN_DIR holds toolgate, conformance_gate, keyed_front and examples/rmcp_server. Upstreams: our own fixture (both eras, and
# each alone), the same fixtures on rmcp's server, and the everything-server of PyPI `mcp` where EVERYTHING names its start
# command with PORT in place of the port. Every check that passes of the upstream itself passes through the gateway; what
# cannot is in exceptions.json, each with the reason.
# Needs NODE and the packages of package-lock.json beside this file.
set -euo pipefail
BIN="$(realpath "$1")"
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${NODE:?}"

ALL="$(mktemp -d)"
WORK="$ALL"
PIDS=()
stop() {
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  PIDS=()
}
trap 'stop; rm -rf "$ALL"' EXIT

port() {
  "$NODE" -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

# up PORT LOG COMMAND...: start it and wait until it listens.
up() {
  local port=$1 log=$2
  shift 2
  "$@" >"$WORK/$log" 2>&1 &
  PIDS+=($!)
  local pid=$! deadline=$((SECONDS + 60))
  until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    kill -0 "$pid" 2>/dev/null || { cat "$WORK/$log" >&2; exit 1; }
    ((SECONDS < deadline)) || { printf 'through.sh: %s does not listen after 60 s\n' "$1" >&2; exit 1; }
    sleep 0.1
  done
}

# gateway UPSTREAMS NAME...: a gateway with these upstreams (YAML) and nothing else, behind a front that brings the key.
gateway() {
  local inner
  inner="$(port)"
  PORT="$(port)"
  rm -rf "$WORK/data"
  cat >"$WORK/toolgate.yaml" <<YAML
version: 1
listen: 127.0.0.1:$inner
data: $WORK/data
log: {level: warn}
servers: {enabled: []}
limits: {per_caller: 1000000/1s, per_tool: 1000000/1s}
http:
  allowed_hosts: ["localhost:$PORT", "127.0.0.1:$PORT"]
  allowed_origins: ["http://localhost:$PORT", "http://127.0.0.1:$PORT"]
upstreams:
$1
YAML
  up "$inner" gateway.log "$BIN/toolgate" serve --config "$WORK/toolgate.yaml"
  # It listens before the key is written.
  until [[ -s $WORK/data/admin.key ]]; do sleep 0.05; done
  up "$PORT" front.log "$BIN/keyed_front" "127.0.0.1:$PORT" "127.0.0.1:$inner" "$WORK/data/admin.key"
  # Until what the upstreams offer is there.
  local deadline=$((SECONDS + 60)) name
  for name in "${@:2}"; do
    until "$NODE" offers.mjs "http://127.0.0.1:$PORT/mcp/$name"; do
      ((SECONDS < deadline)) || { cat "$WORK/gateway.log" >&2; printf 'through.sh: %s offers nothing after 60 s\n' "$name" >&2; exit 1; }
      sleep 0.2
    done
  done
}

# suite TITLE URL_PATH OPTION...: one run against what listens on PORT. EXCEPT names what cannot pass there, and DIRECT
# what must.
suite() {
  local title=$1 path=$2 code=0
  shift 2
  "$NODE" node_modules/conformance/dist/index.js server --url "http://localhost:$PORT$path" "$@" \
    -o "$WORK/out" >"$WORK/suite.log" 2>&1 || code=$?
  RUNS=$((RUNS + 1))
  "$NODE" count.mjs "$title: $*" "$WORK/out" "$WORK/suite.log" "$code" "$EXCEPT" "$DIRECT" $MEASURE || FAILED=$((FAILED + 1))
  rm -rf "$WORK/out"
}

# direct NAME PORT PATH OPTION...: the upstream itself; what passes here must pass through the gateway.
direct() {
  DIRECT="$ALL/$1.json" PORT=$2 EXCEPT=''
  MEASURE=measure suite "direct, ${1%.*}" "${@:3}"
}

# other NAME TITLE COMMAND: a server of another implementation, by itself and behind the gateway; PORT stands for its port.
other() {
  UP="$(port)"
  up "$UP" "$1.log" bash -c "exec ${3//PORT/$UP}"
  direct "$1.$revision" "$UP" /mcp --requirements "$revision"
  gateway "$(upstream "$1" "$UP" never '' "$era")" "$1"
  EXCEPT="$2, $revision"
  suite "through, $2" /mcp --requirements "$revision"
  stop
}

fixture() { up "$1" "fixture.$1.log" "$BIN/conformance_gate" "127.0.0.1:$1" "$2"; }
# upstream NAME PORT PREFIX PATH [ERA [TASKS]]
upstream() {
  printf '  %s: {url: "http://127.0.0.1:%s/mcp%s", era: %s, prefix: %s, tools: {trust_hints: true, tasks: {%s}}}\n' \
    "$1" "$2" "$4" "${5:-auto}" "$3" "${6:-}"
}
# second TOOL...: a server over standard input and output, in the standard sandbox.
second() {
  local arguments
  arguments="$(printf ', "%s"' "$@")"
  printf '  second: {command: "%s", args: ["%s/second.mjs"%s], prefix: on-conflict, read: ["%s", "%s"], tools: {trust_hints: true}}\n' \
    "$NODE" "$PWD" "$arguments" "$PWD" "$(dirname "$(dirname "$NODE")")"
}

FAILED=0 RUNS=0 EXCEPT='' DIRECT='' MEASURE=''

# runs REVISION ERA: all runs in the era of both sides; `auto` finds the modern one where there are both.
runs() {
  local revision=$1 era=$2
  UP="$(port)"; fixture "$UP" both
  direct "fixture.$revision" "$UP" /mcp/conformance --requirements "$revision"
  gateway "$(upstream fixture "$UP" never /conformance "$era")" fixture
  suite 'through, one upstream, no prefix' /mcp --requirements "$revision"
  stop

  UP="$(port)"; fixture "$UP" both
  gateway "$(upstream first "$UP" on-conflict /conformance "$era"; second other another)" first second
  suite 'through, two upstreams, no name in conflict' /mcp --requirements "$revision"
  stop

  UP="$(port)"; fixture "$UP" both
  gateway "$(upstream first "$UP" on-conflict /conformance "$era"; second test_simple_text other)" first second
  "$NODE" names.mjs "http://127.0.0.1:$PORT/mcp" test_simple_text other || FAILED=$((FAILED + 1))
  RUNS=$((RUNS + 1))
  suite 'through, two upstreams, a name in conflict, the door of one' /mcp/first --requirements "$revision"
  stop

  other rmcp 'rmcp server' "'$BIN/examples/rmcp_server' 127.0.0.1:PORT"
  [[ -z ${EVERYTHING:-} ]] || other everything 'PyPI everything-server' "$EVERYTHING"
}

# Both sets at once: they mostly wait.
for set in 2025-11-25:legacy 2026-07-28:auto; do
  (
    WORK="$ALL/${set%:*}"
    PIDS=()
    mkdir "$WORK"
    trap stop EXIT
    runs "${set%:*}" "${set#*:}"
    ((FAILED == 0)) || { printf 'through.sh: %d of %d runs have failed checks\n' "$FAILED" "$RUNS"; exit 1; }
  ) >"$ALL/${set%:*}.log" 2>&1 &
  PIDS+=($!)
done
for pid in "${PIDS[@]}"; do wait "$pid" || FAILED=$((FAILED + 1)); done
PIDS=()
cat "$ALL"/20*.log

# The crossing: clients of one era, an upstream of the other. Tasks of a legacy upstream are the gateway's own.
UP="$(port)"; fixture "$UP" legacy
TASKS='slow_compute: optional, protocol_error_job: optional, confirm_delete: optional, multi_input: optional'
TASKS="$TASKS, failing_job: required, test_tool_with_task: required"
gateway "$(upstream fixture "$UP" never /conformance auto "$TASKS")" fixture
EXCEPT='modern client, legacy upstream' DIRECT="$ALL/fixture.2026-07-28.json"
suite 'crossing, modern client, legacy upstream' /mcp --requirements 2026-07-28
stop
UP="$(port)"; fixture "$UP" modern
gateway "$(upstream fixture "$UP" never /conformance)" fixture
EXCEPT='legacy client, modern upstream' DIRECT="$ALL/fixture.2025-11-25.json"
suite 'crossing, legacy client, modern upstream' /mcp --requirements 2025-11-25
stop

((FAILED == 0)) || { printf 'through.sh: there are failed checks\n' >&2; exit 1; }
