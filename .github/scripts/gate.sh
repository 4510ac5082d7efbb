#!/usr/bin/env bash
# gate.sh FOLDER: holds FOLDER/head against FOLDER/base, which base_and_head.sh measured.
#
# Exit code 1 where a gate fails, of either run. Inconclusive is a warning and no failure: the numbers do not say that
# anything is worse. Where the base gives no baseline the head is judged by itself, and a broken one still fails.
# Another code is that of what went wrong before there was a verdict.
set -euo pipefail

if [[ $# -ne 1 ]]; then
    echo "gate.sh: name the folder that holds base and head" >&2
    exit 2
fi
folder="$1"
for run in "$folder/base" "$folder/head"; do
    if [[ ! -d "$run" ]]; then
        echo "gate.sh: there is no folder $run; base_and_head.sh measures it" >&2
        exit 2
    fi
done
baseline="$folder/baseline.json"
rm -f "$baseline"

annotate() { # KIND TITLE TEXT
    echo "::$1 title=$2::$folder: $3"
}

# Sets code, and lines to what the gates say of a run.
asked() { # OPTION...
    code=0
    lines="$(harness gate "$@")" || code=$?
    local verdict=""
    case "$code" in
        0) verdict=pass ;;
        1) verdict=fail ;;
        4) verdict=inconclusive ;;
    esac
    printf '%s\n' "$lines" | tee "$folder/gate.txt"
    # A program that crashes may end with any code, but without the line that says what all gates come to.
    if [[ -z "$verdict" || "${lines##*$'\n'}" != "$verdict "* ]]; then
        annotate error "No verdict" "the gate of $1 ended with code $code; see the log"
        exit "$((code ? code : 1))"
    fi
}

# The first line that begins so, without the outcome that is in the title.
first() { # PATTERN
    grep -m 1 -E "^$1" <<<"$lines" | sed -E 's/^[a-z]+ +//'
}

broken=0
asked "$folder/base" --baseline "$baseline"
case "$code" in
    1)
        annotate error "Base failed" "the run of the base is no baseline, so head is judged by itself: $(first fail)"
        broken=1
        ;;
    4) annotate warning "No baseline" "the run of the base is none, so head is judged by itself: $(first inconclusive)" ;;
esac

# A baseline is required, for a head that made its own would pass.
asked "$folder/head" --baseline "$baseline" --require-baseline
case "$code" in
    1) annotate error "Gate failed" "$(first fail)" ;;
    4) annotate warning "Gate inconclusive" "$(first 'inconclusive .*would fail' || first inconclusive)" ;;
esac

as_json=0
harness gate "$folder/head" --baseline "$baseline" --require-baseline --json >"$folder/gate.json" || as_json=$?
if [[ "$as_json" != "$code" || "$(tail -n 1 "$folder/gate.json")" != "}" ]]; then
    annotate error "No verdict" "the gate ended with code $as_json for JSON, and with $code for people; see the log"
    exit 1
fi
if [[ "$code" == 1 || "$broken" == 1 ]]; then exit 1; fi
