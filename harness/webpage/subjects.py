"""What a published number is about, in words: method, network, quantity, and which stages its time covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.rendering.span import span
from harness.webpage.differences import unnamed
from harness.webpage.introductions import plain

__all__ = ["subjects"]

Judged = Mapping[str, Any]

_QUANTITIES = {
    "map": "accuracy (mAP)",
    "ap": "accuracy (AP)",
    "conv": "time of the convolutions",
    "pool": "time of pooling",
    "fc": "time of the fully connected layers",
    "total": "time",
    "full_system": "time",
    "proposals": "time of the proposals",
    "share": "share of the time",
    "train": "time of training",
    "speedup_conv": "speed-up of the convolutions",
    "speedup_total": "speed-up",
    "speedup_train": "speed-up of training",
    "pixel_ratio_conv": "fewer pixels convolved",
}
_IN_PARTS = {"conv", "pool", "fc", "total"}
"""Times of which a part is a layer, whose name says it all."""
_SPANNING = {"total", "full_system", "speedup_total"}
_PLACE = ("source", "locator", "version")
_APART = (("train", "trained on {}"), ("test", "tested on {}"), ("hardware", "on {}"), ("note", "{}"))
"""What tells two numbers of one place apart, in the order in which it is asked."""


def subjects(claims: Sequence[Judged]) -> list[str]:
    """One for each; what would read the same under one table has what tells it apart."""
    texts = [_subject(one) for one in claims]
    for column, words in _APART:
        places = [(text, *(one[key] for key in _PLACE)) for text, one in _paired(texts, claims)]
        alike = Counter(places)
        kinds = Counter({(place, one[column]) for place, one in _paired(places, claims)})
        several = Counter(place for place, _ in kinds)
        for at, (place, one) in enumerate(_paired(places, claims)):
            if alike[place] > 1 and several[place] > 1 and one[column]:
                texts[at] += f", {words.format(unnamed(str(one[column]).partition(';')[0]))}"
    return texts


def _paired(texts: Sequence[Any], claims: Sequence[Judged]) -> Iterable[tuple[Any, Judged]]:
    return zip(texts, claims, strict=True)


def _subject(one: Judged) -> str:
    name = f"{one['method']}:{one['variant']}" if one["variant"] else str(one["method"])
    on = f" with {one['backbone']}" if one["backbone"] else ""
    covers = ""
    if one["quantity"] in _SPANNING and not one["part"]:
        covers = f", {span((one['measured_as'] or {}).get('stages') or one['stages'])}"
    return f"{plain(name)}{on}: {_what(one)}{_over(one)}{covers}"


def _what(one: Judged) -> str:
    quantity, part = str(one["quantity"]), str(one["part"])
    what = _QUANTITIES.get(quantity, quantity)
    if not part:
        return what
    if part == "other":
        part = "all other steps"
    if quantity == "share":
        return f"{what} in {part}"
    if quantity in _IN_PARTS:
        return f"time of {part}"
    if part.endswith(" proposals"):
        return f"{what} with {part}"
    return f"{what} at {part}" if part.startswith("IoU") else f"{what} of {part}"


def _over(one: Judged) -> str:
    if not one["relative_to"]:
        return ""
    other, _, network = str(one["relative_to"]).partition("@")
    return f" over {plain(other)}" + (f" with {network}" if network and network != one["backbone"] else "")
