#!/usr/bin/env bash
# gate.sh FOLDER: holds FOLDER/head against FOLDER/base, which base_and_head.sh measured.
#
# Exit code 1 where a gate fails. Inconclusive is a warning and no failure: the numbers do not say that anything is worse.
set -euo pipefail

folder="$1"
baseline="$folder/baseline.json"
rm -f "$baseline"

code=0
harness gate "$folder/base" --baseline "$baseline" | tee "$folder/gate.txt" || code=$?
if [[ "$code" == 1 || "$code" == 4 ]]; then
    echo "::warning title=Gate inconclusive::the run of the base is no baseline, so $folder/head was held against nothing"
    exit 0
fi
[[ "$code" == 0 ]] || exit "$code"

harness gate "$folder/head" --baseline "$baseline" --json >"$folder/gate.json" || true # the code is that of what follows
harness gate "$folder/head" --baseline "$baseline" | tee "$folder/gate.txt" || code=$?
case "$code" in
    1) echo "::error title=Gate failed::$folder: $(grep -m 1 '^fail' "$folder/gate.txt" || echo 'see the log')" ;;
    4)
        echo "::warning title=Gate inconclusive::$folder: $(grep -m 1 '^inconclusive' "$folder/gate.txt" || echo 'see the log')"
        code=0
        ;;
esac
exit "$code"
