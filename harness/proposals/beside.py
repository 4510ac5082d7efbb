"""Boxes beside other boxes of the same images: how near each is to the nearest of the other kind.

It needs no ground truth, so it says which boxes differ and not which are better. The others are always taken whole,
since boxes of a file may be in no order of merit; those of the published demo of Fast R-CNN are sorted by place. A
source that drops short boxes by rule cannot come near to those of another, so the others are looked at without such
boxes, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.proposals import ProposalError
from harness.proposals.overlap import Boxes, Floats, best_iou
from harness.proposals.recall import reaching
from harness.proposals.study import DIGITS, Likeness, Neighbours, Pictured

__all__ = ["by_image", "neighbours", "share_as_long", "shortest_side_px"]


def shortest_side_px(boxes: Sequence[Boxes]) -> float:
    """Of any box of any image.

    Raises:
        ProposalError: there is no box.
    """
    if not sum(map(len, boxes)):
        raise ProposalError(f"there is no box to compare in any of {len(boxes)} images; take others than --proposals")
    return float(min(_short_sides_px(each).min() for each in boxes if len(each)))


def share_as_long(boxes: Sequence[Boxes], side_px: float) -> float:
    """Share of boxes that have no side shorter than `side_px`.

    Raises:
        ProposalError: there is none, so nothing can be compared.
    """
    long = np.concatenate([_short_sides_px(each) >= side_px for each in boxes])
    if not len(long):
        raise ProposalError(f"--against has no box in any of {len(boxes)} images; name other ones")
    if not long.any():
        raise ProposalError(f"no box of --against has sides of {side_px:g} px and more, as all of --proposals have")
    return round(float(long.mean()), DIGITS)


def neighbours(ours: Sequence[Boxes], theirs: Sequence[Boxes], side_px: float) -> list[Neighbours]:
    """For each number of boxes, how near the first ones of each image and the others are; over all boxes alike.

    `side_px` is that of our `shortest_side_px`.
    """
    firsts = reaching(ours)
    of_theirs = [best_iou(other, own, firsts) for own, other in zip(ours, theirs, strict=True)]
    of_ours = [best_iou(own, other)[0] for own, other in zip(ours, theirs, strict=True)]
    long = np.concatenate([_short_sides_px(other) >= side_px for other in theirs])
    points = []
    for row, first in enumerate(firsts):
        near_theirs = np.concatenate([best[row] for best in of_theirs])
        points.append(
            Neighbours(
                first="all" if first is None else first,
                boxes=round(float(np.mean([len(own[:first]) for own in ours])), 1),
                theirs=_likeness(near_theirs),
                theirs_as_long=_likeness(near_theirs[long]),
                ours=_likeness(np.concatenate([best[:first] for best in of_ours])),
            )
        )
    return points


def by_image(ids: Sequence[str], ours: Sequence[Boxes], theirs: Sequence[Boxes], side_px: float) -> list[Pictured]:
    """The same with all boxes, for each image that has boxes of both kinds."""
    found = []
    for name, own, other in zip(ids, ours, theirs, strict=True):
        long = _short_sides_px(other) >= side_px
        if not len(own) or not long.any():
            continue
        best = best_iou(other, own)[0]
        found.append(
            Pictured(
                id=name,
                boxes=len(own),
                their_boxes=len(other),
                theirs=_likeness(best),
                theirs_as_long=_likeness(best[long]),
                ours=_likeness(best_iou(own, other)[0]),
            )
        )
    return found


def _short_sides_px(boxes: Boxes) -> npt.NDArray[np.float32]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).min(axis=1), np.float32)


def _likeness(best: Floats) -> Likeness:
    mean, at_50, at_70 = (round(float(each.mean()), DIGITS) for each in (best, best >= 0.5, best >= 0.7))
    return Likeness(mean=mean, at_50=at_50, at_70=at_70)
