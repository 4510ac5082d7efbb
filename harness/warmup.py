"""Warm-up that is judged, not counted: a method is called on each shape of input until it gets no faster.

The first calls on a shape of input allocate, choose algorithms and fill caches. That cost is real, but it is paid once;
so it is kept as a number of its own and stays out of the times that are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

__all__ = ["FREE_SECONDS", "BucketWarmUp", "bucket", "buckets", "call_budget", "steady_seconds", "warm_up"]

_SIDE_STEP_PX = 32
"""Sides are rounded up to what 5 poolings by 2 divide: inputs of one bucket make feature maps of about one size."""

_MOST_CALLS = 8
"""Of one bucket. A cost that is steady and scatters by 10 % takes more in less than one case of a thousand."""

_FASTER = 0.05
"""Calls count as faster than those before when they are so by more than this share."""

_CALLS_AT_LEAST = 8
_CALLS_SHARE = 10
"""Warming up may take a tenth of the measuring."""

FREE_SECONDS = 10.0
"""For so long a method may be warmed up whatever the measuring takes: quick ones get through all shapes."""


@dataclass(frozen=True, slots=True)
class BucketWarmUp:
    """The calls that warmed one method up on one shape of input."""

    bucket: str
    index: int
    """Place in the split of the image that was called on."""
    seconds: tuple[float, ...]
    """Of each call that succeeded, first to last."""
    steady: bool
    """Whether the last calls were no faster than those before; else the calls ran out, or one failed."""


def bucket(height_px: int, width_px: int, boxes: int) -> str:
    """The shape of an input, coarsely: sides rounded up to 32 px, boxes to a power of two, such as ``480x640 2048``."""
    sides = (-(-side // _SIDE_STEP_PX) * _SIDE_STEP_PX for side in (height_px, width_px))
    boxes_up_to = 1 << (boxes - 1).bit_length() if boxes else 0
    return f"{'x'.join(map(str, sides))} {boxes_up_to}"


def buckets(shapes: Sequence[tuple[int, int, int]]) -> dict[str, list[int]]:
    """The images of each bucket, most frequent bucket first, equal ones by their first image.

    Args:
        shapes: (height_px, width_px, boxes) of each image of the split.
    """
    found: dict[str, list[int]] = {}
    for image, shape in enumerate(shapes):
        found.setdefault(bucket(*shape), []).append(image)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def call_budget(n_samples: int) -> int:
    """The calls that warming up one method may take, for so many samples of it to be measured: a tenth, at least 8."""
    return max(_CALLS_AT_LEAST, n_samples // _CALLS_SHARE)


def warm_up(
    detect: Callable[[int], float | None],
    buckets: Mapping[str, Sequence[int]],
    *,
    most_calls: int,
    free_seconds: float,
) -> list[BucketWarmUp]:
    """Call one method on the first image of each bucket until it is steady there.

    Until one bucket was steady, steady means four calls or more, the last two of which took on average no more than
    5 % less than the two before: what is compiled after the first calls is found there. In later buckets it means two
    calls or more, the newest of which is not more than 5 % faster than the fastest before it. A bucket ends unsteady
    after eight calls, where a call fails, or where all calls are used up; those that are not reached stay cold and
    are not in the result.

    Not seen: a cost that falls after the last call, one that falls by 2.5 % a call or less (by 5 % in later buckets),
    and one slow call among the last two. Noise hides more: where calls scatter by 3 %, a first bucket that gets 4 %
    faster with each call passes in about half of the cases.

    Args:
        detect: runs the method on an image of the split and returns the seconds, or None where it failed.
        buckets: images by bucket, in the order to warm up; none is empty.
        most_calls: of all buckets together, failed ones included.
        free_seconds: buckets that begin before so much time is spent cost no calls, unless one fails.
    """
    done: list[BucketWarmUp] = []
    left, spent_seconds, failed = most_calls, 0.0, False
    for name, images in buckets.items():
        free = spent_seconds < free_seconds and not failed
        if left < 1 and not free:
            break
        steady = _no_faster_call if any(one.steady for one in done) else _no_faster_pair
        most = _MOST_CALLS if free else min(left, _MOST_CALLS)
        warmed, calls = _until(steady, detect, name, images[0], most)
        spent_seconds += sum(warmed.seconds)
        failed = failed or len(warmed.seconds) < calls
        left -= 0 if free and not failed else calls
        done.append(warmed)
    return done


def steady_seconds(seconds: Sequence[float]) -> float | None:
    """The cost after warming up: the mean of the last two calls after the first; None where there is none.

    Not the fastest call, which says the less about the usual one the more calls there are and the more they scatter.
    """
    after = seconds[1:][-2:]
    return fmean(after) if after else None


def _no_faster_pair(seconds: Sequence[float]) -> bool:
    """Whether the last two calls took on average no more than 5 % less than the two before; four calls at least.

    Pairs, since a cost that falls a little with each call is seen over two calls where it is not over one.
    """
    return len(seconds) >= 4 and fmean(seconds[-2:]) >= (1 - _FASTER) * fmean(seconds[-4:-2])


def _no_faster_call(seconds: Sequence[float]) -> bool:
    """Whether the newest call is not more than 5 % faster than the fastest before; two calls at least."""
    return len(seconds) >= 2 and seconds[-1] >= (1 - _FASTER) * min(seconds[:-1])


def _until(
    steady: Callable[[Sequence[float]], bool],
    detect: Callable[[int], float | None],
    name: str,
    index: int,
    most_calls: int,
) -> tuple[BucketWarmUp, int]:
    """One bucket, called on until its times are steady, and the calls that it took, a failed one included."""
    seconds: list[float] = []
    for calls in range(1, most_calls + 1):
        newest = detect(index)
        if newest is None:
            return BucketWarmUp(name, index, tuple(seconds), steady=False), calls
        seconds.append(newest)
        if steady(seconds):
            return BucketWarmUp(name, index, tuple(seconds), steady=True), calls
    return BucketWarmUp(name, index, tuple(seconds), steady=False), most_calls
