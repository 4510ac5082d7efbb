"""What a time covers, in few words: two times of one name can be of different stages."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["WHOLE", "span"]

WHOLE = "whole image"

_SPANS = {
    ("prepare", "conv", "pool", "fc", "decode"): "until suppression",
    ("proposals", "prepare", "conv", "pool", "fc"): "with proposals, until fc",
    ("proposals", "prepare", "conv", "pool", "fc", "decode", "suppress"): f"{WHOLE}, with proposals",
    ("proposals", "total"): f"{WHOLE}, with proposals",
    ("total",): WHOLE,
    (): WHOLE,
}


def span(stages: Sequence[str]) -> str:
    """``conv + fc``, ``until suppression`` or ``whole image``: what a time covers."""
    return _SPANS.get(tuple(stages)) or " + ".join(stages)
