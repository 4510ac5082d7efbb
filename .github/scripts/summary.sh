#!/usr/bin/env bash
# summary.sh FOLDER: a job's summary, to standard output: of the run that FOLDER is, or of FOLDER/head beside FOLDER/base
# with its gates; of as many of them as there are.
set -euo pipefail

folder="$1"
runs=()
for run in "$folder" "$folder/head" "$folder/base"; do
    if [[ -f "$run/manifest.json" ]]; then runs+=("$run"); fi
done
if [[ ${#runs[@]} == 0 ]]; then
    echo "Nothing was measured in $folder."
    exit 0
fi
if [[ -s "$folder/gate.txt" ]]; then
    printf '# Gates of %s\n\n```text\n' "$folder"
    head -c 16000 "$folder/gate.txt"
    printf '```\n\n'
fi
harness report "${runs[@]}" --markdown
