//! What counts as reading of git and gh; see reads.rs. Used by the tables of subcommands.rs.
//!
//! Not here on purpose: what fetches (`ls-remote`, `remote show`), what writes the index, what enters submodules, whose
//! own configuration git would follow (`describe --dirty`, `submodule status`), what starts another git without the
//! options of environment.rs (`range-diff`), and `--help`, which shows a manual page with a program of the configuration.

use super::reads::{ANY, Form, form};

/// Before the subcommand.
pub(super) const GIT_BEFORE: &str =
    "-C: --no-pager --no-optional-locks --literal-pathspecs --no-replace-objects";

// Of every command that shows differences.
macro_rules! diff {
    () => {
        "-p -u --patch -s --no-patch -U: --unified= --raw --minimal --patience --histogram --stat[=] --numstat \
         --shortstat --dirstat[=] --summary --name-only --name-status --color[=] --no-color --word-diff[=] \
         --word-diff-regex= --color-words[=] --no-renames -M? --find-renames[=] -C? --find-copies[=] -D --diff-filter= \
         -S: -G: --pickaxe-all --pickaxe-regex -R --relative[=] -a --text -b -w --ignore-space-change \
         --ignore-all-space --ignore-space-at-eol --ignore-blank-lines -W --function-context --exit-code --quiet \
         --check --full-index --abbrev[=] --binary -z --no-prefix --src-prefix= --dst-prefix= --inter-hunk-context= \
         --no-ext-diff --no-textconv "
    };
}
macro_rules! log {
    () => {
        concat!(
            diff!(),
            "-n: -# --max-count= --skip= --since= --after= --until= --before= --author= --committer= --grep= -i -E -F \
             -P -g -m -c --cc -t -r -L: --all-match --invert-grep --oneline --pretty[=] --format= --abbrev-commit \
             --no-abbrev-commit --graph --decorate[=] --no-decorate --all --branches[=] --tags[=] --remotes[=] \
             --merges --no-merges --first-parent --reverse --topo-order --date-order --author-date-order --date= \
             --follow --full-history --simplify-merges --cherry-pick --cherry-mark --cherry --left-right \
             --ancestry-path --boundary --relative-date --parents --children --walk-reflogs --no-walk --source --count \
             --not --objects --root --no-commit-id --no-notes"
        )
    };
}
const DIFF: &str = concat!(diff!(), "--cached --staged --merge-base --cc -c --ours --theirs --base");
const LOG: &str = log!();
const BLAME: &str = "-L: -l -t -s -e -w -b -c -f -n -p -M? -C? --porcelain --line-porcelain --incremental --date= --since= \
                     --root --show-name --show-number --show-email --abbrev= --first-parent";
const REFS: &str = "--contains= --contains --no-contains= --merged= --merged --no-merged= --no-merged --points-at= --sort= \
                    --format= --ignore-case -i --color[=] --no-color --column[=] --no-column";
const BRANCH: &str = "-a -r -v --all --remotes --verbose --abbrev= --show-current --list -l --contains= --contains \
                      --no-contains= --merged= --merged --no-merged= --no-merged --points-at= --sort= --format= \
                      --ignore-case -i --color[=] --no-color --column[=] --no-column";
const TAG: &str = "-l --list -n? --contains= --contains --no-contains= --merged= --merged --no-merged= --no-merged \
                   --points-at= --sort= --format= --ignore-case -i --color[=] --no-color --column[=] --no-column";
const CONFIG: &str = "--local --show-origin --show-scope --name-only -z --null --type= --bool --int --path";

pub(super) const GIT_READ: &[Form] = &[
    form("annotate", BLAME, ANY),
    form("bisect log", "", 0),
    form("blame", BLAME, ANY),
    // Without an operand nothing is made, renamed or deleted.
    form("branch", BRANCH, 0),
    form("branch --list", BRANCH, ANY),
    form("cat-file", "-p -t -s -e", 2),
    form("check-ignore", "-v -q -n -z --verbose --quiet --non-matching --no-index", ANY),
    form("config --get", CONFIG, 2),
    form("config --get-all", CONFIG, 2),
    form("config --get-regexp", CONFIG, 2),
    form("config --list", CONFIG, 0),
    form("config -l", CONFIG, 0),
    form("count-objects", "-v -H --verbose --human-readable", 0),
    form(
        "describe",
        "--tags --all --always --long --abbrev= --match= --exclude= --exact-match --first-parent --contains \
         --candidates=",
        ANY,
    ),
    form("diff", DIFF, ANY),
    form("diff-tree", LOG, ANY),
    form("for-each-ref", REFS, ANY),
    form(
        "grep",
        "-n -i -I -l -L -c -w -v -E -F -G -P -h -H -o -q -p -W -z -e: -A: -B: -C: -m: -# --line-number --ignore-case \
         --files-with-matches --files-without-match --name-only --count --word-regexp --invert-match \
         --fixed-strings --extended-regexp --basic-regexp --perl-regexp --only-matching --cached --untracked \
         --and --or --not --all-match --max-depth= --max-count= --heading --break --column --color[=] --no-color \
         --context= --after-context= --before-context= --show-function --function-context --full-name --quiet",
        ANY,
    ),
    form("log", LOG, ANY),
    form(
        "ls-files",
        "-c -d -m -o -i -s -u -k -t -v -z -x: --cached --deleted --modified --others --ignored --stage --unmerged \
         --killed --exclude= --exclude-standard --full-name --error-unmatch --abbrev[=] --eol --deduplicate \
         --directory --no-empty-directory --format=",
        ANY,
    ),
    form(
        "ls-tree",
        "-r -d -t -l -z --long --name-only --name-status --object-only --full-name --full-tree --abbrev[=] --format=",
        ANY,
    ),
    form("merge-base", "-a --all --is-ancestor --fork-point --octopus --independent", ANY),
    form("name-rev", "--tags --refs= --name-only --always --all", ANY),
    form("reflog", LOG, 0),
    form("reflog show", LOG, ANY),
    form("remote", "-v --verbose", 0),
    form("remote get-url", "--all --push", 1),
    form("rev-list", LOG, ANY),
    form(
        "rev-parse",
        "--abbrev-ref[=] --short[=] --verify -q --quiet --show-toplevel --git-dir --absolute-git-dir --git-common-dir \
         --is-inside-work-tree --is-inside-git-dir --is-bare-repository --is-shallow-repository --show-prefix \
         --show-cdup --symbolic --symbolic-full-name --all --branches[=] --tags[=] --remotes[=]",
        ANY,
    ),
    form(
        "shortlog",
        "-s -n -e -c --summary --numbered --email --group= --since= --after= --until= --before= --author= --all \
         --merges --no-merges --format=",
        ANY,
    ),
    form("show", LOG, ANY),
    form(
        "show-ref",
        "--heads --branches --tags --head -d --dereference --hash[=] --abbrev[=] --verify -q --quiet",
        ANY,
    ),
    form("stash list", LOG, 0),
    form("stash show", DIFF, 1),
    form(
        "status",
        "-s --short -b --branch --show-stash --porcelain[=] --long -u? --untracked-files[=] --ignored[=] -z \
         --column[=] --no-column --ahead-behind --no-ahead-behind --renames --no-renames --find-renames[=]",
        ANY,
    ),
    form("tag", TAG, 0),
    form("tag --list", TAG, ANY),
    form("tag -l", TAG, ANY),
    form("version", "--build-options", 0),
    form("worktree list", "-v -z --verbose --porcelain", 0),
];

const GH: &str = "-a: -A: -B: -H: -L: -l: -m: -q: -R: -s: -S: -t: -b: -c -d --app= --assignee= --author= --base= --head= \
                  --branch= --label= --limit= --mention= --milestone= --search= --state= --json= --jq= --template= \
                  --repo= --comments --draft --name-only --patch --required --log --log-failed --verbose --exit-status \
                  --job= --attempt= --workflow= --user= --event= --status= --commit= --created= --topic= --language= \
                  --owner= --visibility= --archived --fork --source --public --secret --yaml --ref= --all --sort= \
                  --order= --match= --extension= --filename= --size= --color=";

pub(super) const GH_READ: &[Form] = &[
    // No options: one of them shows the token.
    form("auth status", "", 0),
    form("gist list", GH, 0),
    form("gist view", GH, 1),
    form("issue list", GH, 0),
    form("issue status", GH, 0),
    form("issue view", GH, 1),
    form("label list", GH, 0),
    form("pr checks", GH, 1),
    form("pr diff", GH, 1),
    form("pr list", GH, 0),
    form("pr status", GH, 0),
    form("pr view", GH, 1),
    form("release list", GH, 0),
    form("release view", GH, 1),
    form("repo list", GH, 1),
    form("repo view", GH, 1),
    form("run list", GH, 0),
    form("run view", GH, 1),
    form("search", GH, ANY),
    form("status", "-o: -e: --org= --exclude=", 0),
    form("version", "", 0),
    form("workflow list", GH, 0),
    form("workflow view", GH, 1),
];
