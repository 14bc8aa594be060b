//! What counts as reading of package, container and cluster programs; see reads.rs. Used by the tables of subcommands.rs
//! and containers.rs.
//!
//! Not here on purpose: cargo and yarn, which run programs that a project's own files name before they answer anything;
//! what makes npm run git or a browser (`outdated`, `fund`); what reads a compose file, which can name other places to load.

use super::reads::{ANY, Form, form};

pub(super) const PIP_BEFORE: &str = "--no-input --disable-pip-version-check -q -v";

const PIP: &str = "-q -v --quiet --verbose --no-input --disable-pip-version-check --no-color -l --local --user --pre \
                   --exclude= --exclude-editable --all --json";

pub(super) const PIP_READ: &[Form] = &[
    form("check", PIP, 0),
    form("freeze", PIP, 0),
    form("hash", "-a: --algorithm=", ANY),
    form("help", "", 1),
    form("index versions", PIP, 1),
    form("inspect", PIP, 0),
    form(
        "list",
        "-q -v --quiet --verbose --no-input --disable-pip-version-check --no-color -l --local --user --pre -o --outdated \
         -u --uptodate -e --editable --format= --not-required --exclude-editable --include-editable --exclude=",
        0,
    ),
    form("show", "-f --files -q -v --quiet --verbose --no-input --disable-pip-version-check", ANY),
];

pub(super) const NPM_BEFORE: &str = "--prefix= -C: --silent -s";

const NPM: &str = "--json --long -l --parseable -p --depth= --all -a --omit= --include= --production --link --workspaces \
                   -w: --workspace= --package-lock-only --global -g --silent -s";

pub(super) const NPM_READ: &[Form] = &[
    form("config get", "--json", 1),
    form("config list", "--json -l --long", 0),
    form("explain", NPM, ANY),
    form("info", "--json", ANY),
    form("list", NPM, ANY),
    form("ll", NPM, ANY),
    form("ls", NPM, ANY),
    form("ping", "--json", 0),
    form("root", "-g --global", 0),
    form("search", "--json --parseable --long -l -p --no-description", ANY),
    form("view", "--json", ANY),
    form("why", NPM, ANY),
];

const PS: &str = "-a -q -n: -l -s -f: --all --quiet --last= --latest --size --filter= --format= --no-trunc";
const LOGS: &str = "-f -t -n: --follow --tail= --since= --until= --timestamps --details";
const IMAGES: &str = "-a -q -f: --all --quiet --digests --filter= --format= --no-trunc --tree";
const HISTORY: &str = "-q -H --human --quiet --no-trunc --format=";
const LIST: &str = "-q -f: --quiet --filter= --format= --no-trunc";
const STATS: &str = "-a --all --no-stream --no-trunc --format=";
const FORMAT: &str = "-f: --format=";

pub(super) const DOCKER_READ: &[Form] = &[
    form("compose ls", "-a -q --all --quiet --filter= --format=", 0),
    form("compose version", "-f: --format= --short", 0),
    form("container list", PS, 0),
    form("container logs", LOGS, 1),
    form("container ls", PS, 0),
    form("container port", "", 2),
    form("container stats", STATS, ANY),
    // One operand: what follows is for `ps` on the host, which can show environments.
    form("container top", "", 1),
    form("diff", "", 1),
    form("events", "-f: --filter= --format= --since= --until=", 0),
    form("history", HISTORY, 1),
    form("image history", HISTORY, 1),
    form("image list", IMAGES, 1),
    form("image ls", IMAGES, 1),
    form("images", IMAGES, 1),
    form("info", FORMAT, 0),
    form("logs", LOGS, 1),
    form("network ls", LIST, 0),
    form("port", "", 2),
    form("ps", PS, 0),
    form("search", "-f: --filter= --format= --limit= --no-trunc", 1),
    form("stats", STATS, ANY),
    form("system df", "-v --verbose --format=", 0),
    form("system info", FORMAT, 0),
    form("top", "", 1),
    form("version", FORMAT, 0),
    form("volume ls", LIST, 0),
];

pub(super) const COMPOSE_READ: &[Form] =
    &[form("ls", "-a -q --all --quiet --filter= --format=", 0), form("version", "-f: --format= --short", 0)];

pub(super) const KUBECTL_BEFORE: &str = "-n: --namespace= --context= -A --all-namespaces";

const KUBECTL: &str = "-n: --namespace= -A --all-namespaces -o: --output= -l: --selector= -L: --label-columns= -w --watch \
                       --show-labels --show-kind --no-headers --sort-by= --field-selector= --context= \
                       --ignore-not-found --chunk-size= --request-timeout= --show-events[=] --containers --sum --for= \
                       --types=";
const ROLLOUT: &str =
    "-n: --namespace= --context= --revision= -w --watch[=] --timeout= -l: --selector= -o: --output=";

pub(super) const KUBECTL_READ: &[Form] = &[
    form(
        "api-resources",
        "--namespaced[=] --api-group= --verbs= -o: --output= --no-headers --sort-by= --context=",
        0,
    ),
    form("api-versions", "--context=", 0),
    form(
        "auth can-i",
        "-n: --namespace= --context= --list -q --quiet -A --all-namespaces --subresource=",
        ANY,
    ),
    form("auth whoami", "-o: --output= --context=", 0),
    // No operand: `dump` writes files.
    form("cluster-info", "--context=", 0),
    form("config current-context", "", 0),
    form("config get-contexts", "-o: --output= --no-headers", ANY),
    form("describe", KUBECTL, ANY),
    form("events", KUBECTL, 0),
    form("explain", "--recursive[=] --api-version= --context=", 1),
    form("get", KUBECTL, ANY),
    form(
        "logs",
        "-n: --namespace= --context= -c: --container= -f --follow -p --previous --tail= --since= --since-time= \
         --timestamps --all-containers[=] -l: --selector= --max-log-requests= --prefix --limit-bytes=",
        2,
    ),
    form("rollout history", ROLLOUT, ANY),
    form("rollout status", ROLLOUT, ANY),
    form("top", KUBECTL, ANY),
    form("version", "--client[=] --short -o: --output= --context=", 0),
];

pub(super) const HELM_BEFORE: &str = "-n: --namespace= --kube-context=";

pub(super) const HELM_READ: &[Form] = &[
    form("history", "-n: --namespace= --kube-context= --max= -o: --output=", 1),
    form("lint", "--strict --quiet --with-subcharts -n: --namespace= -f: --values= --set=", ANY),
    form("list", HELM_LIST, 0),
    form("ls", HELM_LIST, 0),
    form("search", "-o: --output= -l --versions --version= --devel -r --regexp --max-col-width=", ANY),
    form("show", "--version= --devel --jsonpath=", 2),
    // Without `-o`: it would show values, which hold secrets.
    form("status", "-n: --namespace= --kube-context= --revision= --show-desc --show-resources", 1),
    form("version", "--short --client --template=", 0),
];

const HELM_LIST: &str = "-n: --namespace= --kube-context= -A --all-namespaces -a --all -q --short -o: --output= -f: --filter= \
                         -m: --max= -d --date -r --reverse --deployed --failed --pending --superseded --uninstalled \
                         --offset= -l: --selector= --no-headers";
