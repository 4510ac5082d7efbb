"""Methods in plain words: what a reader of the papers' abstracts calls them, and what each does in one line."""

from __future__ import annotations

from dataclasses import dataclass

from harness.networks import split

__all__ = ["Introduction", "introduce", "plain"]

_METHODS = {
    "rcnn": ("R-CNN", "cuts every proposed box out of the image and runs the whole network on each of them"),
    "spp": (
        "SPP-net",
        "runs the convolutional layers once over the whole image and pools the features of every box from that one map",
    ),
    "fast": (
        "Fast R-CNN",
        "shares one map among all boxes, too, and trains network, classifier and box regression as one",
    ),
}
_VARIANTS = {
    "5": ("five scales", "here on the image in five sizes"),
    "svd": ("SVD", "here with its large layers compressed by a singular value decomposition"),
    "softmax": ("softmax", "here scored by the network's softmax, not by SVMs"),
    "svm": ("SVM", "here scored by SVMs that are trained afterwards"),
    "pyramid": ("pyramid", "here with SPP-net's pyramid on top of each box"),
    "no-bb": ("no regression", "here without moving the boxes"),
}
_OTHER = "is described where it is defined"


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a page calls a method, and how it says what the method does."""

    name: str
    """As the command line writes it, such as ``spp:5``."""
    plain: str
    """As prose does, such as ``SPP-net (five scales)``."""
    does: str
    """Half a sentence with the method as its subject."""


def introduce(name: str) -> Introduction:
    """In words of the papers; what no paper of the three knows keeps its own name."""
    return Introduction(name, plain(name), _does(split(name)[0]))


def plain(name: str) -> str:
    """Such as ``R-CNN``, ``SPP-net (five scales)`` or ``R-CNN + SPP-net on zf5``."""
    method, network = split(name)
    text = " + ".join(_plain(part) for part in method.split("+"))
    return text if network is None else f"{text} on {network}"


def _plain(part: str) -> str:
    base, *variants = part.split(":")
    if base not in _METHODS:
        return part
    told = ", ".join(_VARIANTS[each][0] if each in _VARIANTS else each for each in variants)
    return _METHODS[base][0] + (f" ({told})" if told else "")


def _does(method: str) -> str:
    parts = method.split("+")
    if len(parts) > 1:
        return f"joins the boxes that {' and '.join(map(_plain, parts))} find in the same image"
    base, *variants = method.split(":")
    if base not in _METHODS:
        return _OTHER
    told = [_VARIANTS[each][1] if each in _VARIANTS else f"here in the variant {each}" for each in variants]
    return "; ".join([_METHODS[base][1], *told])
