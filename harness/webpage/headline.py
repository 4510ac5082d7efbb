"""The main result in a sentence of plain words, and each method's figures on a card."""

from __future__ import annotations

from dataclasses import dataclass

from harness.networks import network_of
from harness.rendering import caption
from harness.rendering.cells import in_brackets, rounded
from harness.tables import Estimate, MethodRow, Summary, headline, methods
from harness.webpage.introductions import Introduction, introduce, plain
from harness.wording import counted

__all__ = ["Card", "Figure", "accuracies", "cards", "conditions", "intervals", "number", "title"]

_MOST_NAMED = 2
"""Methods beside the baseline that a title can hold."""

_DATA = {"shapes": "drawn scenes", "voc": "photographs of PASCAL VOC", "coco": "photographs of COCO"}

_NO_REASON = "not recorded"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as it is shown; `interval` in brackets, `reason` where there is none."""

    text: str
    interval: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """One method."""

    about: Introduction
    network: str
    is_baseline: bool
    failure: str | None
    """Status and reason of a method that gave no time."""
    speedup: Figure
    seconds: Figure
    accuracy: Figure
    bar: float | None
    """Its time, in percent of the longest of all methods: the length of a bar."""


def number(estimate: Estimate, unit: str = "") -> Figure:
    """With the digits that the report shows."""
    if estimate.value is None:
        return Figure(estimate.missing, reason=estimate.reason or _NO_REASON)
    text, bracket, ends = in_brackets(estimate, str, unit, interval=True).partition(" [")
    return Figure(text, f"[{ends}" if bracket else None)


def _time(seconds: Estimate) -> Figure:
    if seconds.value is None:
        return number(seconds)
    return number(seconds, " s") if seconds.value >= 1 else number(seconds.shifted(3), " ms")


def cards(summary: Summary) -> list[Card]:
    """A card for each planned method, in the order of the plan."""
    rows = headline(summary)
    longest = max((row.total.value or 0.0 for row in rows), default=0.0)
    return [_card(summary, row, longest) for row in rows]


def _card(summary: Summary, row: MethodRow, longest: float) -> Card:
    baseline = row.method == summary.get("baseline")
    value = row.total.value
    return Card(
        about=introduce(row.method),
        network=network_of({"backbone": "", **caption.plan(summary)}, row.method),
        is_baseline=baseline,
        failure=None if row.status == "ok" else f"{row.status}: {row.reason or _NO_REASON}",
        speedup=Figure("baseline") if baseline else number(row.speedup_total, "×"),
        seconds=_time(row.total),
        accuracy=number(row.map.shifted(2), " %"),
        bar=100 * value / longest if value is not None and longest else None,
    )


def title(summary: Summary) -> str:
    """Who was how many times as fast as whom; what can be said where there is no ratio."""
    baseline = plain(str(summary.get("baseline")))
    known = [row for row in headline(summary) if row.speedup_total.value is not None]
    known.sort(key=lambda row: -(row.speedup_total.value or 0.0))
    if not known:
        timed = [row for row in headline(summary) if row.total.value is not None]
        told = [f"{plain(row.method)} took {_time(row.total).text} per image" for row in timed]
        return ", ".join(told) if told else "No method gave a time"
    first, *others = known if len(known) <= _MOST_NAMED else known[:1]
    name = plain(first.method)
    if len(known) > _MOST_NAMED:
        name = f"The fastest of {len(methods(summary))} methods, {name},"
    told = [f"{name} was {_times_as_fast(first)} as {baseline}"]
    told += [f"{plain(row.method)} {_times(row)}" for row in others]
    return ", ".join(told) + _also_failed(summary)


def _also_failed(summary: Summary) -> str:
    failed = [plain(row.method) for row in headline(summary) if row.status != "ok"]
    return f"; {', '.join(failed)} gave no time" if failed else ""


def _times(row: MethodRow) -> str:
    ratio = row.speedup_total
    if ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high:
        return "about as fast"
    return f"{rounded(ratio.value or 0.0, ratio.decimals)} times"


def _times_as_fast(row: MethodRow) -> str:
    told = _times(row)
    return told if told.endswith("fast") else f"{told} as fast"


def accuracies(summary: Summary) -> str | None:
    """How accurate each method was, in a sentence; None where no accuracy is known."""
    known = [
        (plain(row.method), number(row.map.shifted(2), " %")) for row in headline(summary) if row.map.value is not None
    ]
    if not known:
        return None
    return "Accuracy, as mAP where more is better: " + ", ".join(f"{name} {figure.text}" for name, figure in known)


def conditions(summary: Summary) -> str:
    """What was alike for all methods, in a sentence."""
    dataset, plan = summary.get("dataset") or {}, caption.plan(summary)
    name = str(dataset.get("name") or plan.get("dataset") or "unknown data")
    kind = _DATA.get(name.partition(":")[0], name)
    images = dataset.get("images")
    told = [f"{counted(images, 'image')} ({kind})" if images is not None else kind]
    mean = (dataset.get("proposals_per_image") or {}).get("mean")
    boxes = "" if mean is None else f", {mean:,.0f} an image on average"
    told.append(f"the same proposed boxes{boxes}")
    networks = caption.networks(summary)
    told.append(f"the network {networks[0]}" if len(networks) == 1 else f"the networks {', '.join(networks)}")
    told.append(f"one machine: {caption.device(summary)}{caption.precision(summary)}")
    return "; ".join(told)


def intervals(summary: Summary) -> str | None:
    """What the brackets cover; None where no number has any."""
    bracketed = any(
        figure.interval for card in cards(summary) for figure in (card.speedup, card.seconds, card.accuracy)
    )
    return caption.intervals(summary) if bracketed else None
