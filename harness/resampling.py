"""How sure a mean average precision is: the images of the split are drawn again and again, with replacement.

Letters: I images, S draws, K classes; T true detections of one class, in the order of its scores.

A detection is true or false whatever other images there are, so nothing is matched again: a draw gives each image a
count, and every row of `harness.accuracy.ClassMatches` stands for so many. Only at true detections does precision
rise, so it is enough to know there how many true and how many false ones came before; the false ones between two true
ones are a sparse (T, I) matrix, and one product with the (I, S) counts serves all draws.

All methods and metrics see the same draws. What makes a drawn set of images easy is easy for every method, so the
interval of a difference is much narrower than the two intervals suggest.

An AP of few images comes out too high: interpolated precision is a maximum, and of few numbers the maximum is more
often a lucky one. A draw has fewer different images yet, and each copy of a true detection stands right behind the
other, so draws come out higher than the images they are of. Their spread is what counts: it is put around the value of
the images, and says what other sets of as many would give. In the difference of two methods the bias all but cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.accuracy import METRICS, AccuracyError, ClassMatches, Metric, average_precision
from harness.statistics import Estimate, t_quantile

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Resampled", "draw", "estimate", "map_intervals"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

_DRAWS_AT_ONCE = 64
"""Keeps the (T, S) arrays of a class inside a processor's cache. The draws themselves do not depend on it."""

_ROUNDING = 1e-12
"""Mean APs that differ by less are equal: sums of the same summands."""

_UNDEFINED = "no class has an object that is not difficult"
_FEW_IMAGES = "an interval needs objects in at least two images"
_SAME = "every draw of images gives the same value"


@dataclass(frozen=True, slots=True)
class Resampled:
    """Mean AP of each method with its interval over images, and how it differs from that of the baseline."""

    map: dict[str, dict[Metric, Estimate]]
    """By method and metric."""
    difference: dict[str, dict[Metric, Estimate]]
    """By method and metric: the method's mean AP less the baseline's. The baseline itself is left out."""


@dataclass(frozen=True, slots=True)
class _Class:
    """What a draw needs to know of one method's matches of one class."""

    true: npt.NDArray[np.int64]
    """(T,), image of each true detection."""
    false: sparse.csr_array
    """(T, I): false detections of an image after the true one before and before this one."""

    @classmethod
    def of(cls, matches: ClassMatches, n_images: int) -> _Class:
        from scipy import sparse

        is_true = matches.outcomes == 1
        # False ones below the last true one lower no precision that counts.
        segment = np.cumsum(is_true)
        rows = np.flatnonzero((matches.outcomes == -1) & (segment < segment[-1])) if len(segment) else np.arange(0)
        shape = (int(is_true.sum()), n_images)
        places = (segment[rows].astype(np.int32), matches.image[rows].astype(np.int32))
        false = sparse.coo_array((np.ones(len(rows), np.int32), places), shape=shape).tocsr()
        return cls(matches.image[is_true], false)

    def average_precisions(self, counts: Counts, positives: Counts) -> dict[Metric, Floats]:
        """AP of each draw, (S,), from the counts of images (I, S) and of positives (S,); 0 where there are none."""
        if not len(self.true):
            return {metric: np.zeros(counts.shape[1]) for metric in METRICS}
        drawn = counts[self.true]
        true = np.cumsum(drawn, axis=0, dtype=np.int32)
        false = np.cumsum(self.false @ counts, axis=0, dtype=np.int32)
        precision = true / np.maximum(true + false, 1)
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        return {"voc07": _eleven_points(true, envelope, positives), "voc10": _area(drawn, envelope, positives)}


def _eleven_points(true: Counts, envelope: Floats, positives: Counts) -> Floats:
    # As `harness.accuracy` compares recall, in whole numbers.
    padded = np.vstack([envelope, np.zeros(envelope.shape[1])])
    draws = np.arange(envelope.shape[1])
    at = [padded[np.sum(true < (tenth * positives + 9) // 10, axis=0), draws] for tenth in range(11)]
    return np.asarray(np.sum(at, axis=0) / 11)


def _area(drawn: Counts, envelope: Floats, positives: Counts) -> Floats:
    return np.asarray(np.einsum("ts,ts->s", envelope, drawn) / np.maximum(positives, 1))


def draw(n_images: int, draws: int, generator: np.random.Generator) -> Counts:
    """How often each image is drawn, (I, S)."""
    counts = np.empty((draws, n_images), np.int32)
    for row in counts:
        row[:] = np.bincount(generator.integers(n_images, size=n_images), minlength=n_images)
    return np.ascontiguousarray(counts.T)


def _mean_over_classes(
    classes: Sequence[_Class], positives: Sequence[npt.NDArray[np.int64]], counts: Counts
) -> dict[Metric, Floats]:
    """Mean AP of each draw over the classes that have positives in it, (S,); not a number where none has."""
    sums = {metric: np.zeros(counts.shape[1]) for metric in METRICS}
    with_positives = np.zeros(counts.shape[1], np.int64)
    for one, images in zip(classes, positives, strict=True):
        n_positives = counts[images].sum(axis=0, dtype=np.int32)
        with_positives += n_positives > 0
        for metric, found in one.average_precisions(counts, n_positives).items():
            sums[metric] += np.where(n_positives > 0, found, 0)
    none = np.where(with_positives > 0, with_positives, np.nan)
    return {metric: total / none for metric, total in sums.items()}


def _resample(
    matches: Mapping[str, Sequence[ClassMatches]], n_images: int, seed: int, draws: int
) -> dict[str, dict[Metric, Floats]]:
    """Mean AP of each method and metric in every draw, (S,)."""
    generator = np.random.default_rng(seed)
    classes = {name: [_Class.of(one, n_images) for one in found] for name, found in matches.items()}
    positives = {name: [one.positives for one in found] for name, found in matches.items()}
    parts: dict[str, dict[Metric, list[Floats]]] = {name: {metric: [] for metric in METRICS} for name in matches}
    for begin in range(0, draws, _DRAWS_AT_ONCE):
        counts = draw(n_images, min(_DRAWS_AT_ONCE, draws - begin), generator)
        for name in matches:
            for metric, found in _mean_over_classes(classes[name], positives[name], counts).items():
                parts[name][metric].append(found)
    return {name: {metric: np.concatenate(each) for metric, each in of.items()} for name, of in parts.items()}


def _map(matches: Sequence[ClassMatches], metric: Metric) -> float | None:
    found = [average_precision(one, metric) for one in matches]
    known = [ap for ap in found if ap is not None]
    return sum(known) / len(known) if known else None


def _tail(n: int) -> float:
    """Share of draws to leave out at each end.

    Draws from n images spread less than sets of n images do, by (n - 1) / n in the square, and their tails are those of
    a normal distribution; so ends are taken further out, where Student's t would put them. Source: T. Hesterberg, "What
    teachers should know about the bootstrap", 2015, section 3.2.
    """
    from scipy import special

    return float(special.ndtr(-t_quantile(n - 1) * (n / (n - 1)) ** 0.5))


def estimate(value: float | None, drawn: Floats, with_objects: int, *, of_varying: bool = False) -> Estimate:
    """Interval from the draws; `with_objects` is the number of images that have positives.

    Quantiles of the draws, moved by as much as the value is off their mean, and never beyond all draws: their mean is
    biased, see the top of this file.

    Draws that all give the same value do not tell how sure it is. Only a difference of nothing is certain so, as far as
    images go, if it is one `of_varying`: of two numbers that do change from draw to draw, and always together.
    """
    if value is None:
        return Estimate(None, None, None, _UNDEFINED)
    if with_objects < 2:
        return Estimate(value, None, None, _FEW_IMAGES)
    tail = _tail(with_objects)
    least, low, high, most = (float(end) for end in np.nanquantile(drawn, (0, tail, 1 - tail, 1)))
    if high - low < _ROUNDING:
        certain = of_varying and abs(value) < _ROUNDING
        return Estimate(0.0, 0.0, 0.0) if certain else Estimate(value, None, None, _SAME)
    off = value - float(np.nanmean(drawn))
    low, high = max(low + off, least), min(high + off, most)
    # A few draws from a few images can all lie on one side.
    return Estimate(value, min(low, value), max(high, value))


def _check(matches: Mapping[str, Sequence[ClassMatches]], n_images: int, baseline: str, draws: int) -> None:
    if baseline not in matches:
        raise AccuracyError(f"baseline: expected one of {', '.join(matches) or 'no methods'}, got {baseline!r}")
    if draws < 1:
        raise AccuracyError(f"draws: expected at least 1, got {draws}")
    for name, found in matches.items():
        highest = max(
            (int(images.max(initial=-1)) for one in found for images in (one.image, one.positives)), default=-1
        )
        if highest >= n_images:
            raise AccuracyError(f"matches of {name}: expected images below {n_images}, got {highest}")
        same = len(found) == len(matches[baseline])
        if not same or any(a.n_positives != b.n_positives for a, b in zip(found, matches[baseline], strict=True)):
            raise AccuracyError(f"matches of {name}: expected the objects that {baseline} was matched with, got others")


def map_intervals(
    matches: Mapping[str, Sequence[ClassMatches]],
    n_images: int,
    *,
    baseline: str,
    seed: int,
    draws: int = 1000,
) -> Resampled:
    """Mean AP of each method and its difference from the baseline's, with intervals over the images of the split.

    `matches` holds, by method, what `harness.accuracy.match` found for each class. The same seed gives the same
    intervals. A draw without any positive has no mean AP and is left out. Of few images the mean AP itself is too high,
    and its interval holds that of all images there could be less often than it says.

    Raises:
        AccuracyError: no such baseline, methods matched with different objects, or an image outside the split.
    """
    _check(matches, n_images, baseline, draws)
    drawn = _resample(matches, n_images, seed, draws)
    with_objects = len(np.unique(np.concatenate([one.positives for one in matches[baseline]] or [np.arange(0)])))
    value = {name: {metric: _map(found, metric) for metric in METRICS} for name, found in matches.items()}
    result = Resampled({}, {})
    for name in matches:
        result.map[name] = {
            metric: estimate(value[name][metric], drawn[name][metric], with_objects) for metric in METRICS
        }
        if name != baseline:
            result.difference[name] = {}
            for metric in METRICS:
                own, other = value[name][metric], value[baseline][metric]
                result.difference[name][metric] = estimate(
                    None if own is None or other is None else own - other,
                    drawn[name][metric] - drawn[baseline][metric],
                    with_objects,
                    of_varying=result.map[name][metric].low is not None,
                )
    return result
