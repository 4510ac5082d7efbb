#!/usr/bin/env bash
# clocks.sh lock|unlock: holds the clocks of the GPUs that a job may use, and lets them go again.
#
# CUDA_VISIBLE_DEVICES  the GPUs; all where it is unset
# GPU_CLOCK_MHZ         the clock; where it is empty, the GPU's default for applications, else its highest
#
# A machine that does not allow it costs a warning: the harness tells a clock that moved by itself. What is unlocked is
# what was locked, so that a setting of the machine's owner stays.
set -euo pipefail

action="${1:-}"
held="${RUNNER_TEMP:-${TMPDIR:-/tmp}}/harness-locked-gpus"

privileged() {
    if [[ "$(id -u)" == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

gpus() {
    if [[ -n "${CUDA_VISIBLE_DEVICES:-}" ]]; then
        tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES"
    else
        nvidia-smi --query-gpu=index --format=csv,noheader
    fi
}

clock_mhz() {
    local found=""
    for query in clocks.default_applications.graphics clocks.max.graphics; do
        found="${GPU_CLOCK_MHZ:-$(nvidia-smi -i "$1" --query-gpu="$query" --format=csv,noheader,nounits)}"
        if [[ "$found" =~ ^[0-9]+$ ]]; then
            echo "$found"
            return
        fi
    done
    return 1
}

lock() {
    local gpu mhz
    while read -r gpu; do
        # Noted before it is done: a job that is cancelled in between unlocks what may be locked.
        echo "$gpu" >>"$held"
        if mhz="$(clock_mhz "$gpu")" && privileged nvidia-smi -i "$gpu" --lock-gpu-clocks="$mhz"; then
            echo "GPU $gpu: locked at $mhz MHz"
        else
            sed -i '$ d' "$held"
            echo "::warning title=GPU clocks::GPU $gpu: the clock could not be locked; times may move with it"
        fi
    done
}

unlock() {
    local gpu failed=0
    while read -r gpu; do
        if privileged nvidia-smi -i "$gpu" --reset-gpu-clocks; then
            echo "GPU $gpu: unlocked"
        else
            echo "::error title=GPU clocks::GPU $gpu is still locked; run: sudo nvidia-smi -i $gpu --reset-gpu-clocks"
            failed=1
        fi
    done <"$held"
    rm "$held"
    return "$failed"
}

case "$action" in
    lock)
        if ! command -v nvidia-smi >/dev/null || ! found="$(gpus)"; then
            echo "no GPU that nvidia-smi knows: nothing to lock"
        else
            lock <<<"$found"
        fi
        ;;
    unlock)
        if [[ -s "$held" ]]; then unlock; else echo "nothing was locked"; fi
        ;;
    *)
        echo "clocks.sh: say lock or unlock, not '$action'" >&2
        exit 2
        ;;
esac
