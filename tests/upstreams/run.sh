#!/usr/bin/env bash
# Real MCP servers behind a real gateway: run.sh PATH/TO/toolgate
#
# The servers are those of requirements.txt and package-lock.json, each a process in the standard sandbox. drive.py is their
# client, in both eras, through every door. Afterwards no process of them may be left. Needs NODE, PYTHON, PYTHON_PACKAGES
# (of tests/clients) and SERVER_PACKAGES (of python/requirements.txt), as scripts/test.sh sets them.
set -euo pipefail
TOOLGATE="$(realpath "$1")"
cd "$(dirname "${BASH_SOURCE[0]}")"
: "${PYTHON:?}" "${PYTHON_PACKAGES:?}" "${SERVER_PACKAGES:?}" "${NODE:?}"

WORK="$(realpath "$(mktemp -d)")"
GATEWAY=
SITE=
end() {
  local code=$?
  for process in $GATEWAY $SITE; do kill -KILL "$process" 2>/dev/null && wait "$process" 2>/dev/null || true; done
  if ((code != 0)); then
    printf '\nlast lines of the gateway:\n' >&2
    tail -n 40 "$WORK/serve.log" >&2
  fi
  rm -rf "$WORK"
}
trap end EXIT

free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# wait_for WHAT COMMAND...: at most 60 s.
wait_for() {
  local what=$1 deadline=$((SECONDS + 60))
  shift
  until "$@" 2>/dev/null; do
    ((SECONDS < deadline)) || { printf 'run.sh: after 60 s still not: %s\n' "$what" >&2; exit 1; }
    sleep 0.1
  done
}
listens() { (: <"/dev/tcp/$1"); }

# Processes that bear the mark of this run in their environment: the servers, and whatever they started.
marked() { grep -lzsx "UPSTREAM_MARK=$WORK" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
none_marked() { [[ -z "$(marked)" ]]; }

mkdir "$WORK"/{files,memory,site}
printf 'What the file says.\n' >"$WORK/files/there.txt"
printf 'A secret of somebody else.\n' >"$WORK/outside.txt"
printf 'A page of this machine.\n' >"$WORK/site/page.txt"
git init -q -b main "$WORK/repository"
git -C "$WORK/repository" -c user.name=ada -c user.email=ada@example.org commit -q --allow-empty -m 'The first commit'
printf 'new\n' >"$WORK/repository/new.txt"

PORT="$(free_port)"
SITE_PORT="$(free_port)"
# Not 127.0.0.1, which is a server's own machine to it: it has a network of its own, and asks the gateway for all others.
"$PYTHON" -m http.server --bind 127.0.0.2 --directory "$WORK/site" "$SITE_PORT" >/dev/null 2>&1 &
SITE=$!
wait_for 'the local site listens' listens "127.0.0.2/$SITE_PORT"

# The interpreters themselves, not what stands for them in PATH, and where their libraries are.
RUNTIME="$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))')"
LIBRARIES="$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')"
[[ $LIBRARIES != /usr ]] || LIBRARIES=/usr/lib
NODE_ITSELF="$(realpath "$NODE")"
SERVERS="$PWD/node/node_modules/@modelcontextprotocol"
python="command: $RUNTIME"
environment="PYTHONPATH: \"$SERVER_PACKAGES\", PYTHONDONTWRITEBYTECODE: \"1\", UPSTREAM_MARK: \"$WORK\""
reads="\"$LIBRARIES\", \"$(dirname "$RUNTIME")\", \"$SERVER_PACKAGES\""

cat >"$WORK/toolgate.yaml" <<YAML
version: 1
listen: 127.0.0.1:$PORT
data: $WORK/data
servers: {enabled: []}
egress: {allow_private: ["127.0.0.2:$SITE_PORT"]}
limits: {per_caller: 1000000/1s, per_tool: 1000000/1s}
upstreams:
  everything: {command: $NODE_ITSELF, args: ["$SERVERS/server-everything/dist/index.js", stdio], env: {UPSTREAM_MARK: "$WORK"},
    read: ["$(dirname "$NODE_ITSELF")", "$PWD/node"]}
  filesystem: {command: $NODE_ITSELF, args: ["$SERVERS/server-filesystem/dist/index.js", "$WORK/files"], env: {UPSTREAM_MARK: "$WORK"},
    read: ["$(dirname "$NODE_ITSELF")", "$PWD/node"], write: ["$WORK/files"]}
  memory: {command: $NODE_ITSELF, args: ["$SERVERS/server-memory/dist/index.js"],
    env: {UPSTREAM_MARK: "$WORK", MEMORY_FILE_PATH: "$WORK/memory/graph.jsonl"},
    read: ["$(dirname "$NODE_ITSELF")", "$PWD/node"], write: ["$WORK/memory"]}
  git: {$python, args: [-m, mcp_server_git, --repository, "$WORK/repository"], env: {$environment}, read: [$reads], write: ["$WORK/repository"]}
  time: {$python, args: [-m, mcp_server_time], env: {$environment}, read: [$reads]}
  fetch: {$python, args: [-m, mcp_server_fetch, --ignore-robots-txt, --allow-private-ips], env: {$environment}, read: [$reads],
    egress: [example.org]}
  fetch-local: {$python, args: [-m, mcp_server_fetch, --ignore-robots-txt, --allow-private-ips], env: {$environment}, read: [$reads],
    egress: ["127.0.0.2"]}
virtual_servers:
  desk: {tools: [time/convert_time, everything/echo, git/git_log], rename: {everything/echo: say}}
YAML

"$TOOLGATE" serve --config "$WORK/toolgate.yaml" >"$WORK/serve.log" 2>&1 &
GATEWAY=$!
wait_for 'the gateway listens' listens "127.0.0.1/$PORT"
wait_for 'the administrator has a key' test -s "$WORK/data/admin.key"

export MCP_URL="http://127.0.0.1:$PORT" MCP_WORK="$WORK" MCP_SITE="http://127.0.0.2:$SITE_PORT/page.txt"
MCP_KEY="$(<"$WORK/data/admin.key")"
export MCP_KEY
# Of the era before it warns of every word that the next one dropped.
PYTHONPATH="$PYTHON_PACKAGES" "$PYTHON" -W ignore drive.py

# Asked to stop, it ends by itself, and so has every server with what it started.
kill -TERM "$GATEWAY"
STOPPED=$GATEWAY
GATEWAY=
wait "$STOPPED"
none_marked || { printf 'run.sh: left behind: %s\n' "$(marked | xargs ps -o pid=,args= -p)" >&2; exit 1; }

# Killed, it takes them with it.
"$TOOLGATE" serve --config "$WORK/toolgate.yaml" >>"$WORK/serve.log" 2>&1 &
GATEWAY=$!
started() { (($(marked | wc -l) >= 7)); }
wait_for 'the servers run again' started
kill -KILL "$GATEWAY"
wait "$GATEWAY" 2>/dev/null || true
GATEWAY=
wait_for 'no server outlives a gateway that is killed' none_marked
printf 'no process left, stopped or killed\n'
