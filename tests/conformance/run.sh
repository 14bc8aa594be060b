#!/usr/bin/env bash
# The official conformance suite against the gateway's own edge and engine: run.sh PATH/TO/conformance_gate
#
# Every check counts, also those that the suite itself does not score, and none is expected to fail: there is no list of
# exceptions. Needs NODE (22 or newer) and the packages of package-lock.json beside this file, as scripts/test.sh gets them.
set -euo pipefail
GATE="$(realpath "$1")"
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${NODE:?}"

WORK="$(mktemp -d)"
SERVER=
end() {
  [[ -z $SERVER ]] || kill -KILL "$SERVER" 2>/dev/null || true
  rm -rf "$WORK"
}
trap end EXIT

# A gate for each suite, so that none finds what another left. The kernel names a free port; if another process takes it
# before the gate does, the gate ends and so does this.
start() {
  PORT="$("$NODE" -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')"
  "$GATE" "127.0.0.1:$PORT" >"$WORK/gate.log" 2>&1 &
  SERVER=$!
  local deadline=$((SECONDS + 30))
  until (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; do
    kill -0 "$SERVER" 2>/dev/null || { cat "$WORK/gate.log" >&2; exit 1; }
    ((SECONDS < deadline)) || { printf 'run.sh: the gate does not listen after 30 s\n' >&2; exit 1; }
    sleep 0.1
  done
}

# suite PACKAGE OPTION...: one run; its own exit code counts as well as every check it wrote.
suite() {
  local package=$1 code=0
  shift
  start
  # Not 127.0.0.1: the rebinding scenario wants the name.
  "$NODE" "node_modules/$package/dist/index.js" server --url "http://localhost:$PORT/mcp/conformance" "$@" \
    -o "$WORK/out" >"$WORK/suite.log" 2>&1 || code=$?
  kill -KILL "$SERVER"
  wait "$SERVER" 2>/dev/null || true
  SERVER=
  "$NODE" count.mjs "$package $*" "$WORK/out" "$WORK/suite.log" "$code" || FAILED=$((FAILED + 1))
  rm -rf "$WORK/out"
}

FAILED=0
suite conformance --requirements 2025-11-25
suite conformance --requirements 2026-07-28
suite conformance-0.1 --suite all
((FAILED == 0)) || { printf 'run.sh: %d of 3 suites have failed checks\n' "$FAILED" >&2; exit 1; }
