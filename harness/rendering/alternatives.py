"""What a figure shows, in words, for those who do not see it: a title and its main numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from harness.claims import DETECTING
from harness.rendering import caption
from harness.rendering.appendix import per_class
from harness.rendering.canvas import in_words
from harness.rendering.cells import in_brackets
from harness.rendering.growth import lines, percentiles
from harness.rendering.palette import VERDICTS
from harness.rendering.published_plot import PublishedRow, published_rows
from harness.rendering.waterfall import in_a_sentence
from harness.tables import Estimate, Summary, headline, mean_ap, methods, rated, stages

__all__ = ["described"]

_SHARES = {"p50": "half", "p90": "90 %", "p95": "95 %", "p99": "99 %"}
_ROWS_TOLD = 3
_NOTHING = "Nothing was measured."


def described(name: str, summary: Summary) -> tuple[str, str]:
    """Title and words of the figure `name`, one of those that `harness.figures` draws."""
    title, words = _FIGURES[name]
    return title, words(summary) or _NOTHING


def _stages(summary: Summary) -> str:
    rows = [row for row in stages(summary) if row.name in DETECTING[:-1]]
    told = []
    for index, of in enumerate(headline(summary)):
        if of.total.value is None:
            told.append(f"{of.method} has no time: {of.total.reason}")
            continue
        parts = [(row.cells[index].value or 0.0, row.name) for row in rows]
        most = f", most of it in {max(parts)[1]}" if parts else ""
        told.append(f"{of.method} takes {in_words(of.total)} per image{most}")
    return _sentences("A bar for each method, parted by stage", told)


def _speed_accuracy(summary: Summary) -> str:
    told = [f"{row.method} takes {in_words(row.total)} and reaches {_percent(row.map)} mAP" for row in rated(summary)]
    return _sentences("A point for each method: time per image to the right, accuracy upwards", told)


def _latency(summary: Summary) -> str:
    told = []
    for row in percentiles(summary):
        pairs = zip(methods(summary), row.cells, strict=True)
        parts = [f"{name} within {in_words(cell)}" for name, cell in pairs if cell.value is not None]
        if parts:
            told.append(f"{_SHARES[row.name]} of the images take {', '.join(parts)}")
    return _sentences("A rising step line for each method: the share of images that take no longer than a time", told)


def _cost(summary: Summary) -> str:
    told = []
    for row in lines(summary):
        pairs = zip(methods(summary), row.cells, strict=True)
        parts = [f"{name} {in_words(cell)}" for name, cell in pairs if cell.value is not None]
        if parts:
            told.append(f"{row.name.removesuffix(' (ms)')}: {', '.join(parts)}")
    return _sentences("A dot for each image and method, against its proposals and against its megapixels", told)


def _progression(summary: Summary) -> str:
    told = [f"the verdict on the run is {caption.verdict(summary)[0]}"]
    return _sentences("A dot for each measured call, in the order in which they were made", told)


def _class_ap(summary: Summary) -> str:
    told = []
    for index, name in enumerate(methods(summary)):
        known = [(row.cells[index].value, row) for row in per_class(summary)[:-2]]
        ordered = sorted((value, row.name, row.cells[index]) for value, row in known if value is not None)
        if ordered:
            (_, worst, low), (_, best, high) = ordered[0], ordered[-1]
            told.append(f"{name} finds {best} best, {_percent(high)}, and {worst} worst, {_percent(low)}")
    return _sentences("A row for each class with a point for each method", told)


def _published(summary: Summary) -> str:
    rows = published_rows(summary)
    counts = Counter(row.verdict for row in rows)
    told = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts]
    told += [
        f"{row.label}, published {row.printed:g} {row.unit}, measured {in_brackets(_measured(row), str)} {row.unit}"
        for row in rows[:_ROWS_TOLD]
    ]
    return _sentences("A row for each published number with a measured one beside it", told)


def _measured(row: PublishedRow) -> Estimate:
    return Estimate(row.value, row.low, row.high)


def _pictures(summary: Summary) -> str:
    told = [
        f"{name} in a row of its own" for name, result in methods(summary).items() if mean_ap(result, "voc07").value
    ]
    what = "boxes that are true, boxes that are false, and objects that were missed"
    return _sentences(f"The images that the methods do best and worst on, with {what}", told)


def _percent(share: Estimate) -> str:
    return in_brackets(share.shifted(2), str, " %")


def _sentences(first: str, told: list[str]) -> str:
    return f"{first}. {'; '.join(told)}." if told else ""


_FIGURES: Mapping[str, tuple[str, Callable[[Summary], str]]] = {
    "stages": ("Where the time of one image goes", _stages),
    "speed_accuracy": ("Accuracy against speed", _speed_accuracy),
    "latency": ("How the time of one image is spread over the images", _latency),
    "cost": ("What the time of one image grows with", _cost),
    "published": ("Published and measured", _published),
    "waterfall": ("What each idea saves of one image's time", in_a_sentence),
    "class_ap": ("Average precision of each class", _class_ap),
    "pictures": ("Best and worst detected images", _pictures),
    "progression": ("Each time as it was measured", _progression),
}
