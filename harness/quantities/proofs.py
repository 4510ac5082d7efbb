"""Whether the timed pass made the detections that are scored: the digests of both, image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.agreement import digest_of_rows
from harness.record import Sample

__all__ = ["images_that_differ"]


def images_that_differ(rows: Iterable[Mapping[str, Any]], measured: Sequence[Sample]) -> list[str]:
    """Images of one method whose detections on file are not those of its first measured sample.

    `rows` are its detections in COCO results format, `measured` its samples in the order in which they were taken.
    """
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_image[row["image_id"]].append(dict(row))
    first: dict[str, str | None] = {}
    for sample in sorted(measured, key=lambda one: (one.process, one.repeat)):
        if sample.status == "ok":
            first.setdefault(sample.image, sample.digest)
    return [image for image, digest in first.items() if digest_of_rows(by_image.get(image, [])) != digest]
