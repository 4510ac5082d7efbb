#!/usr/bin/env bash
# base_and_head.sh FOLDER OPTION...: the same comparison with two states of the source, on one machine, one after the
# other: FOLDER/base and FOLDER/head. OPTION... are those of harness compare that both states know.
#
# BASE    a commit of a branch; where it is empty, main as it was a day ago, or the commit before this one
# DEVICE  cuda must find a GPU; anything else may go without
set -euo pipefail
unset VIRTUAL_ENV # each state has an environment of its own

if [[ $# -lt 1 ]]; then
    echo "base_and_head.sh: name the folder for the runs" >&2
    exit 2
fi
folder="$(realpath --canonicalize-missing "$1")"
shift
cd "$(git rev-parse --show-toplevel)"

main="$(git rev-parse --quiet --verify origin/main || git rev-parse --verify HEAD)"
base="${BASE:-$(git rev-list -1 --before="24 hours ago" "$main")}"
# A repository younger than a day has no such commit.
base="${base:-HEAD~1}"
if ! commit="$(git rev-parse --quiet --verify "$base^{commit}")"; then
    echo "base_and_head.sh: BASE=$base is no commit of this clone; give one that a branch holds" >&2
    exit 2
fi

mkdir -p "$folder"
tree="$(mktemp -d)"
trap 'rm -rf "$tree"; git worktree prune' EXIT
git worktree add --quiet --detach "$tree/base" "$commit"

# Code 5 is a run in which something failed and the rest was measured: the gate has a word for that.
measured() {
    local code=0
    uv run --directory "$1" harness compare "${@:3}" --out "$folder/$2" --overwrite || code=$?
    [[ "$code" == 0 || "$code" == 5 ]] || exit "$code"
}

require=()
if [[ "${DEVICE:-}" == cuda ]]; then require=(--require-gpu); fi
echo "base: $commit"
measured "$tree/base" base "$@" "${require[@]}"
echo "head: $(git rev-parse HEAD)"
measured "$PWD" head "$@" "${require[@]}"
