"""What a reproduction needs, what of it is missing here, and how to get it. Torch is not loaded to say so."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.networks import split
from harness.presets import Kind, Options, Part, Preset, catalogue

__all__ = ["MEASURES", "Need", "idle_weights", "lines", "listing", "needs", "together", "ways", "why_not_run"]

_TORCHVISION = frozenset({"vgg16"})
"""Networks of the papers of which torchvision has weights. Its ``alexnet`` is not the papers' AlexNet."""

MEASURES: Mapping[Kind, str] = {
    "speed": "time",
    "count": "pixels",
    "training": "hours of training",
    "accuracy": "mAP",
}
"""What each kind of part gives, in words."""

_DATA = "PASCAL VOC 2007"
_WEIGHTS = "weights of "
_GET_DATA = "harness data fetch voc2007, then --dataset voc:data/VOCdevkit/VOC2007"
_GET_WEIGHTS = "the authors' .caffemodel or a .safetensors"

_WITHOUT_GPU: Mapping[Kind, str] = {
    "speed": "hours to days without a GPU; --images 2 takes minutes",
    "training": "hours to days without a GPU; --quick shows that it works",
    "accuracy": "weeks without a GPU; --quick shows that it works",
}
_CROPS_ON_VGG16 = ", with R-CNN on VGG16 hours"

_COLUMNS, _INDENT = 80, 4


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a preset needs."""

    what: str
    measures: str
    """Which of its numbers need it."""
    there: bool
    how: str
    """How to get it."""
    must: bool = True
    """Whether nothing is measured without it; else it is only slow."""
    possible: bool = True
    """Whether it can be had at all."""


def needs(preset: Preset, options: Options, *, gpu: bool | None = None) -> list[Need]:
    """All that a preset needs, each once, under the given options.

    `gpu` says whether there is a GPU that may be used; None asks the driver.
    """
    gpu = _gpu(options) if gpu is None else gpu
    found = [each for part in preset.parts for each in _of_part(part, options, gpu)]
    return list(dict.fromkeys(found))


def why_not_run(part: Part, options: Options) -> str | None:
    """Why a part is not run, in one line; None where it can be."""
    if part.cannot is not None:
        return part.cannot
    lacking = [each.what for each in _of_part(part, options, gpu=True) if each.must and not each.there]
    return f"{' and '.join(lacking)} missing" if lacking else None


def _of_part(part: Part, options: Options, gpu: bool) -> Iterator[Need]:
    measures = MEASURES[part.kind]
    if part.cannot is not None:
        yield Need(part.about, measures, False, f"not possible here: {part.cannot}", possible=False)
        return
    if part.kind == "accuracy":
        yield Need(_DATA, measures, options.voc, _GET_DATA)
        backbone = part.backbone
        torchvision = f", or --weights {backbone}=torchvision" if backbone in _TORCHVISION else ""
        how = f"--weights {backbone}=FILE, {_GET_WEIGHTS}{torchvision}"
        yield Need(f"{_WEIGHTS}{backbone}", measures, backbone in options.weights, how)
    if part.kind != "count":
        slow = part.kind == "speed" and _crops_on_vgg16(part)
        yield Need("a GPU", measures, gpu, _WITHOUT_GPU[part.kind] + _CROPS_ON_VGG16 * slow, must=False)


def _crops_on_vgg16(part: Part) -> bool:
    named = (split(name) for name in str(part.plan["methods"]).split(","))
    return any(method.startswith("rcnn") and (network or part.backbone) == "vgg16" for method, network in named)


def idle_weights(presets: Iterable[Preset], options: Options) -> str | None:
    """Which weights are given and would not be used, and why, in one line; None where all are."""
    asked = {part.backbone for preset in presets for part in preset.parts if part.kind == "accuracy"}
    idle = [f"{backbone}={file}" for backbone, file in options.weights.items() if backbone not in asked]
    if options.weights and not options.voc:
        every = " ".join(f"{backbone}={file}" for backbone, file in options.weights.items())
        return f"--weights {every} will not be used: accuracy needs {_DATA}, too: {_GET_DATA}"
    return f"--weights {' '.join(idle)} will not be used: no accuracy on that network is asked for" if idle else None


def together(whats: Iterable[str]) -> str:
    """Things that are needed in few words: ``PASCAL VOC 2007, weights of caffenet and zf5``."""
    every = list(dict.fromkeys(whats))
    networks = [what.removeprefix(_WEIGHTS) for what in every if what.startswith(_WEIGHTS)]
    others = [what for what in every if not what.startswith(_WEIGHTS)]
    return ", ".join([*others, *([_WEIGHTS + _spoken(networks)] if networks else [])])


def _spoken(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(each for each in (", ".join(names[:-1]), *names[-1:]) if each)


def ways(needs: Iterable[Mapping[str, Any]]) -> list[str]:
    """How to get what is missing and can be had, a line for data and one for the weights of all networks."""
    lacking = {
        str(need["what"]): str(need["how"]) for need in needs if need["must"] and need["possible"] and not need["there"]
    }
    networks = [what.removeprefix(_WEIGHTS) for what in lacking if what.startswith(_WEIGHTS)]
    found = [f"{what}: {how}" for what, how in lacking.items() if not what.startswith(_WEIGHTS)]
    if len(networks) > 1:
        own = "".join(f", or --weights {each}=torchvision" for each in networks if each in _TORCHVISION)
        every = f"{_WEIGHTS}{_spoken(networks)}"
        return [*found, f"{every}: --weights {networks[0]}=FILE and so on, {_GET_WEIGHTS}{own}"]
    return found + [f"{_WEIGHTS}{each}: {lacking[_WEIGHTS + each]}" for each in networks]


def _gpu(options: Options) -> bool:
    from harness.surroundings.sensors import gpus_of_driver

    return options.device != "cpu" and bool(gpus_of_driver()[0])


def listing(options: Options | None = None, *, gpu: bool | None = None) -> list[dict[str, Any]]:
    """A row for each preset: ``name``, ``reproduces``, ``source``, ``measures``, ``needs`` and what is ``missing``."""
    options = options or Options()
    gpu = _gpu(options) if gpu is None else gpu
    rows = []
    for preset in catalogue().presets:
        every = needs(preset, options, gpu=gpu)
        rows.append(
            {
                "name": preset.name,
                "reproduces": preset.title,
                "source": preset.source,
                "measures": list(dict.fromkeys(MEASURES[part.kind] for part in preset.parts)),
                "needs": [asdict(each) for each in every],
                "missing": [asdict(each) for each in every if not each.there],
            }
        )
    return rows


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What `listing` gave, for a terminal of 80 columns: each preset, then how to get what is missing, once."""
    shown = []
    for row in rows:
        shown.append(f"{row['name']}  ({row['source']})")
        shown += _folded(str(row["reproduces"]))
        for measures in row["measures"]:
            shown += _folded(f"{measures}: {_state(row, measures)}")
    how = ways(each for row in rows for each in row["missing"])
    if how:
        shown += ["", "How to get what is missing:"]
        for words in how:
            shown += _folded(words)
    return [*shown, "", "harness reproduce NAME (or all) measures what it can and says what it left out."]


def _state(row: Mapping[str, Any], measures: str) -> str:
    """What the numbers of one kind need, and which of it is not there."""
    missing = [each for each in row["missing"] if each["measures"] == measures]
    impossible = [f"; not possible: {each['what']}" for each in missing if not each["possible"]]
    lacking = together(each["what"] for each in missing if each["must"] and each["possible"])
    slow = max((each["how"] for each in missing if not each["must"]), key=len, default=None)
    state = f"needs {lacking}" if lacking else "here" if slow is None else f"here, but {slow}"
    return state + "".join(impossible)


def _folded(text: str) -> Iterable[str]:
    """Indented, and broken between words alone: a command or a file's name must be copied whole."""
    before = " " * _INDENT
    return textwrap.wrap(
        text,
        _COLUMNS,
        initial_indent=before,
        subsequent_indent=before + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
