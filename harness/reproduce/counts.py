"""What a method asks of an image of the papers' size, counted on shapes alone: operations, and pixels convolved.

Pixels are what SPP-net's paper compares: of all that is given to the first convolutional layer, n crops or one image at
each scale [SPP 4.3]. Operations are what is done with them, and differ from that by padding, of which crops have less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from harness.claims import Claim
from harness.flops import ImageShape, count_image
from harness.operating_point import on_meta
from harness.quantities.comparability import differences
from harness.quantities.judged import Judged, judged

__all__ = ["compared", "counted", "judge_pixels"]

_COLOURS = 3
"""By which the first layer is told from those after it."""


class _Inputs(TorchFunctionMode):
    """Counts the colour images that convolutions take in, by height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[int, int]] = Counter()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and args[0].shape[1] == _COLOURS:
            images, _, height, width = args[0].shape
            self.seen[height, width] += images
        return func(*args, **dict(kwargs or {}))


def counted(network: str, methods: Iterable[str], image: ImageShape) -> dict[str, dict[str, Any]]:
    """By method: ``operations`` by stage and in ``total``, ``inputs`` of its convolutions, and their ``pixels``.

    Raises:
        detectors.WeightsError, detectors.MethodError: no such network, or no such method.
    """
    found = {}
    for name, detector in on_meta(network, methods):
        with _Inputs() as inputs:
            operations = count_image(detector, image).operations
        sizes = [{"height": high, "width": wide, "images": each} for (high, wide), each in inputs.seen.items()]
        pixels = sum(size["height"] * size["width"] * size["images"] for size in sizes)
        found[name] = {"operations": operations, "inputs": sizes, "pixels": pixels}
    return found


def compared(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each method's ``method``, ``inputs``, and how often the first method's convolutions take its ``pixels_ratio`` and
    ``operations_ratio``."""
    first = next(iter(found.values()))
    return [
        {
            "method": name,
            "inputs": about["inputs"],
            "pixels_ratio": first["pixels"] / about["pixels"],
            "operations_ratio": first["operations"]["conv"] / about["operations"]["conv"],
        }
        for name, about in found.items()
    ]


def judge_pixels(
    claims: Iterable[Claim], found: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]
) -> list[Judged]:
    """Published ratios of pixels beside those that were counted; `about` has ``plan`` and ``dataset`` as a run has."""
    result = []
    for claim in claims:
        baseline = (claim.relative_to or "").partition("@")[0]
        if claim.quantity != "pixel_ratio_conv" or claim.name not in found or baseline not in found:
            continue
        value = found[baseline]["pixels"] / found[claim.name]["pixels"]
        measured = {"value": value, "low": value, "high": value, "reason": None, "interval": None}
        measured_as = {"method": claim.name, "baseline": baseline, "stages": ["conv"]}
        result.append(judged(claim, measured_as, measured, differences(claim, about, claim.name, baseline)))
    return result
