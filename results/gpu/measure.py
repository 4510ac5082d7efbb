"""Measures the campaign of campaign.toml on a machine with a GPU, part by part; README.md beside it says how.

    python results/gpu/measure.py prepare --voc VOCdevkit/VOC2007    photographs and boxes, where OpenCV contrib is
    python results/gpu/measure.py list                               the parts, what each needs, how far it is
    python results/gpu/measure.py run all                            again and again, until it says that all is done
    python results/gpu/measure.py pack                               one archive of what was measured
    python results/gpu/measure.py --quick                            all of that in small, on a CPU

Exit codes: 0 done; 1 a part failed, or packages are missing; 2 bad input; 75 a limit was reached, go on with the same
command; 130 interrupted by hand, likewise.
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A machine with a GPU has this checkout, and no installed package.
sys.path[:0] = [str(ROOT)]

from archive import pack  # noqa: E402
from campaign import Campaign, CampaignError  # noqa: E402
from execution import Execution  # noqa: E402
from ledger import DONE, FAILED, Ledger  # noqa: E402
from packages import missing, to_carry  # noqa: E402

FAILED_CODE, BAD_INPUT, GO_ON, BY_HAND = 1, 2, 75, 130
_QUICK_SCENE_PX = (96, 128)
_QUICK_AT_A_TIME = 2
"""Parts, since nothing of it is a measurement."""


def say(text: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The options, which stand before or after the command."""
    above = argparse.ArgumentParser(prog="measure.py", description=(__doc__ or "").partition("\n\n")[0])
    above.add_argument("command", nargs="?", choices=["list", "packages", "prepare", "run", "pack"])
    above.add_argument("parts", nargs="*", metavar="PART", help="of `run`: names as `list` has them, speed-*, or all")
    above.add_argument("--quick", action="store_true", help="in small, on a CPU; without a command: all of it anew")
    above.add_argument("--inputs", help="folder of photographs and boxes [results/scratch/gpu/inputs]")
    above.add_argument("--out", help="folder of runs and state [results/scratch/gpu/runs]")
    above.add_argument("--campaign", type=Path, default=Path(__file__).with_name("campaign.toml"))
    above.add_argument("--images", type=int, help="photographs at most [as campaign.toml says]")
    above.add_argument("--boxes", type=int, help="of `prepare`: boxes on each [as campaign.toml says]")
    above.add_argument("--voc", type=Path, help="of `prepare`: a VOC year folder [scenes are drawn]")
    above.add_argument("--split", default="val", help="of `prepare`: of that folder [val]")
    above.add_argument("--total", type=float, metavar="SECONDS", help="of `run`: end before so long [no end]")
    above.add_argument("--again", action="store_true", help="of `run`: with `all`, the parts that failed, too")
    above.add_argument("--carried", action="store_true", help="of `packages`: what is to be brought, met here or not")
    above.add_argument("--archive", type=Path, help="of `pack`: the file [OUT.tar.gz]")
    return above


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = parser().parse_intermixed_args(arguments)
    try:
        return _command(options)
    except ValueError as error:
        # Of the data set, the boxes, the storage and the campaign: all say in one line what is wrong.
        if type(error) is ValueError:
            raise
        sys.stderr.write(f"measure.py: {' '.join(str(error).split())}\n")
        return BAD_INPUT


def _command(options: argparse.Namespace) -> int:
    base = f"results/scratch/{'gpu-quick' if options.quick else 'gpu'}"
    inputs, out = options.inputs or f"{base}/inputs", options.out or f"{base}/runs"
    if options.images is not None and options.images < 1:
        raise CampaignError(f"--images: expected 1 or more, got {options.images}")
    campaign = Campaign.read(options.campaign, inputs=inputs, out=out, quick=options.quick, most_images=options.images)
    if options.command is None:
        if not options.quick:
            raise CampaignError("expected list, packages, prepare, run or pack; or --quick for all of it in small")
        return _all_anew(campaign, options)
    if options.parts and options.command != "run":
        raise CampaignError(f"{options.command} takes no part, got {' '.join(options.parts)}")
    commands = {"list": _list, "packages": _packages, "prepare": _prepare, "run": _run, "pack": _pack}
    return commands[options.command](campaign, options)


def _all_anew(campaign: Campaign, options: argparse.Namespace) -> int:
    for folder in (ROOT / campaign.inputs, ROOT / campaign.out):
        if folder.exists() and not {"manifest.json", "state.json"} & {path.name for path in folder.iterdir()}:
            raise CampaignError(f"{folder} was not made by this script; choose another folder")
        shutil.rmtree(folder, ignore_errors=True)
    options.parts = list(campaign.content["quick"]["parts"])
    return _prepare(campaign, options) or _run(campaign, options) or _pack(campaign, options)


def _list(campaign: Campaign, options: argparse.Namespace) -> int:
    from tabulate import tabulate

    state = Ledger.of(ROOT / campaign.out).content()
    rows = []
    for part in campaign.parts:
        about = state.get(part.name, {"status": "pending", "seconds": 0.0})
        expected = "" if part.seconds is None else f"{part.seconds / 60:.1f}"
        rows.append([part.name, part.images or "", expected, " ".join(part.needs), about["status"], part.about])
    say(tabulate(rows, headers=["part", "images", "minutes expected", "needs", "state", "what"], tablefmt="simple"))
    lacking = [str(one) for one in missing(ROOT)]
    say(f"packages missing here: {', '.join(lacking) or 'none'}")
    return 0


def _packages(campaign: Campaign, options: argparse.Namespace) -> int:
    found = to_carry(ROOT) if options.carried else missing(ROOT)
    for one in found:
        say(str(one))
    return FAILED_CODE if found and not options.carried else 0


def _prepare(campaign: Campaign, options: argparse.Namespace) -> int:
    from inputs import Wanted, prepare

    told = campaign.content["inputs"]
    if options.quick:
        wanted = Wanted(2, int(campaign.content["quick"]["boxes"]), _QUICK_SCENE_PX)
    else:
        wanted = Wanted(options.images or told["images"], options.boxes or told["boxes"])
    folder = ROOT / campaign.inputs
    manifest = prepare(folder, wanted, options.voc, options.split, _boxes_found)
    say(f"{len(manifest['images'])} images with {wanted.boxes} boxes each in {campaign.inputs}, {manifest['source']}")
    return 0


def _boxes_found(done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        say(f"boxes: {done} of {total}")


def _run(campaign: Campaign, options: argparse.Namespace) -> int:
    ledger = Ledger.of(ROOT / campaign.out)
    parts = campaign.chosen(options.parts or ["all"])
    status = {part.name: ledger.entry(part)["status"] for part in parts}
    named = [name for name in options.parts if name != "all"]
    again = parts if options.again else campaign.chosen(named)
    over = [part for part in parts if status[part.name] == FAILED and part not in again]
    # What failed before comes last: it may well do so again, and other parts wait.
    parts = tuple(sorted((part for part in parts if part not in over), key=lambda part: status[part.name] == FAILED))
    if any("inputs" in part.needs for part in parts) and not (ROOT / campaign.inputs / "manifest.json").exists():
        raise CampaignError(f"{campaign.inputs} holds no photographs and boxes; make them with `prepare`")
    stop = threading.Event()
    ends_at = math.inf if options.total is None else time.monotonic() + options.total
    execution = Execution(campaign, ROOT, ROOT / campaign.out, ledger, say, stop, ends_at)
    with _heard(stop), ThreadPoolExecutor(_QUICK_AT_A_TIME if options.quick else 1) as pool:
        ends = list(pool.map(execution.carry_out, parts))
    for part in over:
        say(f"{part.name}: failed before; name it, or give --again")
    return _exit_code([*ends, *(FAILED for _ in over)], by_hand=stop.is_set())


@contextmanager
def _heard(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and a request to end set `stop` inside the block; what runs is then interrupted in good order."""
    before = {sign: signal.signal(sign, lambda *_: stop.set()) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _exit_code(ends: Sequence[str], *, by_hand: bool) -> int:
    counts = {end: ends.count(end) for end in dict.fromkeys(ends)}
    say(f"{len(ends)} parts: {', '.join(f'{count} {end}' for end, count in counts.items())}")
    if by_hand:
        return BY_HAND
    if any(end not in (DONE, FAILED) for end in ends):
        say("go on with the same command")
        return GO_ON
    return FAILED_CODE if FAILED in ends else 0


def _pack(campaign: Campaign, options: argparse.Namespace) -> int:
    out = ROOT / campaign.out
    archive = options.archive or out.with_name(f"{out.name}.tar.gz")
    packed = pack(out, archive)
    say(f"{archive}: {len(packed)} files, {archive.stat().st_size / 2**20:.2f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
