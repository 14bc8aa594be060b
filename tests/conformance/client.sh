#!/usr/bin/env bash
# The official conformance suite of clients, with the gateway's upstream side as the client: client.sh PATH/TO/toolgate
#
# The suite starts a server of its own for each scenario and client.py for each server: a gateway with that single upstream,
# and a client that calls through it. Scenarios of authorization are not run here. Needs NODE, PYTHON, PYTHON_PACKAGES (of
# tests/clients) and the packages of package-lock.json beside this file.
set -euo pipefail
TOOLGATE="$(realpath "$1")"
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${NODE:?}" "${PYTHON:?}" "${PYTHON_PACKAGES:?}"
export TOOLGATE PYTHON_PACKAGES

WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT
SUITE=("$NODE" node_modules/conformance/dist/index.js)

# scenarios REVISION: of clients, without those of authorization.
scenarios() {
  "${SUITE[@]}" list --requirements "$1" |
    sed -n '/^Client scenarios/,/^$/s/^ *- \([^ ]*\).*/\1/p; s/^ *- \([^ ]*\) \[client\].*/\1/p' | grep -v '^auth/'
}

FAILED=0
for revision in 2025-11-25 2026-07-28; do
  : >"$WORK/suite.log"
  code=0
  for scenario in $(scenarios "$revision"); do
    "${SUITE[@]}" client --command "$PYTHON $PWD/client.py" --scenario "$scenario" --spec-version "$revision" \
      --timeout 90000 -o "$WORK/out" >"$WORK/one.log" 2>&1 || { code=1; tail -n 30 "$WORK/one.log" >>"$WORK/suite.log"; }
  done
  "$NODE" count.mjs "upstream side, client suite: $revision" "$WORK/out" "$WORK/suite.log" "$code" || FAILED=$((FAILED + 1))
  rm -rf "$WORK/out"
done
((FAILED == 0)) || { printf 'client.sh: %d of 2 sets have failed checks\n' "$FAILED" >&2; exit 1; }
