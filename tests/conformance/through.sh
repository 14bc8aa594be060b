#!/usr/bin/env bash
# The official conformance suite through the gateway, in front of upstreams: through.sh BIN_DIR
#
# BIN_DIR holds toolgate, conformance_gate and keyed_front. Upstreams: our own fixture (both eras, and each alone), and the
# everything-server of PyPI `mcp` where EVERYTHING names its start command with PORT in place of the port. What is expected is in
# the calls at the end: every check, but for those that a comment names with the reason.
# Needs NODE and the packages of package-lock.json beside this file.
set -euo pipefail
BIN="$(realpath "$1")"
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${NODE:?}"

WORK="$(mktemp -d)"
PIDS=()
stop() {
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  PIDS=()
}
end() {
  stop
  rm -rf "$WORK"
}
trap end EXIT

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

# gateway UPSTREAMS: a gateway with these upstreams (YAML) and nothing else, behind a front that brings the key.
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
  up "$PORT" front.log "$BIN/keyed_front" "127.0.0.1:$PORT" "127.0.0.1:$inner" "$WORK/data/admin.key"
  # Until what the upstreams offer is there.
  local deadline=$((SECONDS + 60))
  until [[ "$("$BIN/toolgate" upstreams list --json --config "$WORK/toolgate.yaml" 2>/dev/null | grep -o '"ready"' | wc -l)" -ge "$2" ]]; do
    ((SECONDS < deadline)) || { cat "$WORK/gateway.log" >&2; printf 'through.sh: the upstreams are not ready after 60 s\n' >&2; exit 1; }
    sleep 0.2
  done
}

# suite TITLE PATH OPTION...: one run against the gateway that runs now.
suite() {
  local title=$1 path=$2 code=0
  shift 2
  "$NODE" node_modules/conformance/dist/index.js server --url "http://localhost:$PORT$path" "$@" \
    -o "$WORK/out" >"$WORK/suite.log" 2>&1 || code=$?
  RUNS=$((RUNS + 1))
  "$NODE" count.mjs "$title: $*" "$WORK/out" "$WORK/suite.log" "$code" ${EXCEPT:+"$EXCEPT"} || FAILED=$((FAILED + 1))
  rm -rf "$WORK/out"
}

fixture() { up "$1" "fixture.$1.log" "$BIN/conformance_gate" "127.0.0.1:$1" "$2"; }
upstream() { printf '  %s: {url: "http://127.0.0.1:%s/mcp%s", era: auto, prefix: %s, tools: {trust_hints: true}}\n' "$1" "$2" "$4" "$3"; }

FAILED=0 RUNS=0 EXCEPT=

for era in 2025-11-25 2026-07-28; do
  UP="$(port)"; fixture "$UP" both
  gateway "$(upstream fixture "$UP" never /conformance)" 1
  suite 'through, one upstream, no prefix' /mcp --requirements "$era"
  stop
done

for era in 2025-11-25 2026-07-28; do
  UP="$(port)"; fixture "$UP" both
  OTHER="$(port)"; fixture "$OTHER" legacy
  gateway "$(upstream first "$UP" on-conflict /conformance; upstream second "$OTHER" on-conflict /conformance)" 2
  suite 'through, two upstreams, the door of one' /mcp/first --requirements "$era"
  stop
done

# The crossing: clients of one era, an upstream of the other.
UP="$(port)"; fixture "$UP" legacy
gateway "$(upstream fixture "$UP" never /conformance)" 1
suite 'crossing, modern client, legacy upstream' /mcp --requirements 2026-07-28
stop
UP="$(port)"; fixture "$UP" modern
gateway "$(upstream fixture "$UP" never /conformance)" 1
suite 'crossing, legacy client, modern upstream' /mcp --requirements 2025-11-25
stop

if [[ -n ${EVERYTHING:-} ]]; then
  for era in 2025-11-25 2026-07-28; do
    UP="$(port)"
    up "$UP" everything.log bash -c "exec ${EVERYTHING//PORT/$UP}"
    gateway "$(upstream everything "$UP" never '')" 1
    suite 'through, PyPI everything-server' /mcp --requirements "$era"
    stop
  done
fi

((FAILED == 0)) || { printf 'through.sh: %d of %d runs have failed checks\n' "$FAILED" "$RUNS" >&2; exit 1; }
