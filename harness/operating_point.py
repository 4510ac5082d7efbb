"""What an image of the papers' size asks of each method on each of their networks, counted once.

``python -m harness.operating_point`` writes `harness/operations.json`, so that a report that sets the papers' seconds
against operations needs neither torch nor a count of its own; with ``--check`` it writes nothing and ends with 1 where
the file is stale. The image is 500 x 375 px, as most of VOC are, with the 2,000 boxes of which the papers speak
[SPP 4.3] and VOC's 20 classes. The detectors stand on the meta device, where weights have shapes and no values, so that
VGG16 with its SVD costs no more than a small network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

import detectors
from detectors.contract import Detector
from harness.flops import ImageShape, count_image
from harness.metatensors import META
from harness.networks import AS_PRINTED

__all__ = ["CLASSES", "IMAGE", "METHODS", "TABLE", "counted", "main", "on_meta", "operations"]

IMAGE = ImageShape(height=375, width=500, proposals=2000)
CLASSES = 20
METHODS = ("rcnn", "spp", "spp:5", "fast", "fast:svd")
TABLE = Path(__file__).with_name("operations.json")


def on_meta(network: str, methods: Iterable[str]) -> Iterator[tuple[str, Detector]]:
    """Each method's name with its detector of VOC's classes, on the meta device.

    Raises:
        detectors.WeightsError: no such network.
        detectors.MethodError: no such method.
    """
    generator = torch.Generator().manual_seed(0)
    backbone = detectors.load_backbone(network, "random", generator=generator)
    for name in methods:
        method = detectors.load(name)
        make: Any = method.detector
        detector = make(CLASSES, method.config, backbone, META)
        detector.initialise(generator=generator)
        yield name, detector


def operations(network: str, methods: Sequence[str] = METHODS, image: ImageShape = IMAGE) -> dict[str, dict[str, int]]:
    """Floating-point operations of each method on a network, by stage before SUPPRESS and in ``total``.

    Raises:
        detectors.WeightsError: no such network.
        detectors.MethodError: no such method.
    """
    return {name: count_image(detector, image).operations for name, detector in on_meta(network, methods)}


def counted() -> dict[str, Any]:
    """All that the table holds."""
    return {
        "schema_version": 1,
        "made_by": "python -m harness.operating_point",
        "image": {"height": IMAGE.height, "width": IMAGE.width, "proposals": IMAGE.proposals},
        "classes": CLASSES,
        "operations": {network: operations(network) for network in AS_PRINTED},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m harness.operating_point``; returns the exit code."""
    prog, about = "python -m harness.operating_point", (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog=prog, description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where the table is stale")
    options = parser.parse_args(arguments)
    text = json.dumps(counted(), indent=1) + "\n"
    if TABLE.exists() and TABLE.read_text(encoding="utf-8") == text:
        return 0
    if not options.check:
        TABLE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{'stale' if options.check else 'written'}: {TABLE}\n")
    return int(options.check)


if __name__ == "__main__":
    sys.exit(main())
