"""What figures need of single images and single measurements, thinned out to what can be seen.

Nothing here is a statistic: those stand elsewhere in the summary. Numbers have seven digits, as many as a float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.quantities.observations import Observed
from harness.record import Sample

__all__ = ["series"]

_DIGITS = 7
_MOST_SHOWN = 20_000
"""Measurements in a progression; more dots than that are one dark patch, and a summary is to stay small."""


def series(observed: Observed, samples: Sequence[Sample], truth: Mapping[str, Any]) -> dict[str, Any]:
    """Per image and per measurement, the methods that have complete passes.

    Args:
        observed: what makes the figures.
        samples: all of the run, of every role.
        truth: of the run folder.

    Returns:
        ``images``, each a list in the order of the split: ``id``, ``megapixels`` and ``boxes``, None where not known.
        ``total_seconds`` by method, a list as long: each image's mean over repeats and processes. ``progression``:
        ``methods``, ``every`` and ``processes``, see `_progression`.
    """
    methods = list(observed.by_method)
    boxes = _boxes(samples)
    images = truth["images"]
    return {
        "images": {
            "id": [image["id"] for image in images],
            "megapixels": _short(_megapixels(image) for image in images),
            "boxes": [boxes.get(image["id"]) for image in images],
        },
        "total_seconds": {method: _short(of.values("total").mean(axis=0)) for method, of in observed.by_method.items()},
        "progression": _progression(observed, samples, methods),
    }


def _short(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.{_DIGITS}g}") for value in values]


def _megapixels(image: Mapping[str, Any]) -> float | None:
    height, width = image.get("height"), image.get("width")
    return height * width / 1e6 if height and width else None


def _boxes(samples: Iterable[Sample]) -> dict[str, int]:
    """Proposals of each image as it is: all methods are given the same."""
    known: dict[str, int] = {}
    for sample in samples:
        if sample.role == "measured" and sample.boxes is not None:
            known.setdefault(sample.image, sample.boxes)
    return known


def _progression(observed: Observed, samples: Sequence[Sample], methods: Sequence[str]) -> dict[str, Any]:
    """The measured samples of complete passes as time went on, every n-th of them where they are many.

    Of each process: ``process``; and for each sample ``method`` (its place in ``methods``), ``block`` (None in runs
    that kept none), ``total_seconds``, and ``elapsed_seconds``, which this process had then spent in calls that were
    kept, of whatever role.
    """
    number = {method: at for at, method in enumerate(methods)}
    processes = []
    count = sum(len(of.samples) for of in observed.by_method.values())
    every = -(-count // _MOST_SHOWN) or 1
    for process in dict.fromkeys(process for process, _ in observed.passes):
        own = sorted((one for one in samples if one.process == process), key=lambda one: (one.attempt, one.sequence))
        spent = np.cumsum([(one.seconds or {}).get("total", 0.0) for one in own])
        shown = [
            (one, float(elapsed))
            for one, elapsed in zip(own, spent, strict=True)
            if one.role == "measured" and one.seconds and one.method in number and observed.covers(one)
        ][::every]
        processes.append(
            {
                "process": process,
                "method": [number[one.method] for one, _ in shown],
                "block": [one.block for one, _ in shown],
                "total_seconds": _short((one.seconds or {})["total"] for one, _ in shown),
                "elapsed_seconds": _short(elapsed for _, elapsed in shown),
            }
        )
    return {"methods": list(methods), "every": every, "processes": processes}
