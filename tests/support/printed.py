"""The published numbers by their place, for tests of what stands in `results/reference`."""

from __future__ import annotations

from harness.claims import Claim, read_claims

CLAIMS = read_claims()
VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The columns of the papers' tables by class, in their order, under the names of PASCAL VOC."""


def find(source: str, locator: str, name: str, backbone: str, quantity: str, part: str = "") -> list[Claim]:
    """All that stand there; several where a table names several training sets."""
    wanted = (source, locator, name, backbone, quantity, part)
    return [c for c in CLAIMS if (c.source, c.locator, c.name, c.backbone, c.quantity, c.part) == wanted]


def printed(source: str, locator: str, name: str, backbone: str, quantity: str, part: str = "") -> str:
    """Their digits, a blank between them; ``-`` where there are none."""
    return " ".join(claim.printed for claim in find(source, locator, name, backbone, quantity, part)) or "-"
