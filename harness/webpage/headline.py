"""The main result in a sentence of plain words, and each method's figures on a card."""

from __future__ import annotations

from dataclasses import dataclass

from harness.rendering import caption
from harness.rendering.cells import in_brackets, rounded
from harness.tables import Estimate, MethodRow, Summary, headline, methods
from harness.webpage.introductions import Introduction, introduce, plain
from harness.webpage.ratios import inverse, is_alike, is_slower, within
from harness.wording import counted

__all__ = ["Card", "Figure", "cards", "conditions", "intervals", "number", "short_names", "title"]

_MOST_NAMED = 2
"""Methods beside the baseline that a title can hold."""

_DATA = {"shapes": "drawn scenes", "voc": "photographs of PASCAL VOC", "coco": "photographs of COCO"}

_NO_REASON = "not recorded"
_ALIKE = "about"


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
    failure: str | None
    """Status and reason of a method that gave no time."""
    speedup: Figure
    as_fast: str
    """What stands below it."""
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
        failure=None if row.status == "ok" else f"{row.status}: {row.reason or _NO_REASON}",
        speedup=Figure("1×") if baseline else number(row.speedup_total, "×"),
        as_fast="the baseline" if baseline else row.speedup_total.reason or _as_fast(row.speedup_total),
        seconds=_time(row.total),
        accuracy=number(row.map.shifted(2), " %"),
        bar=100 * value / longest if value is not None and longest else None,
    )


def _as_fast(ratio: Estimate) -> str:
    """What stands below a ratio on its card: its interval in words, and what it is the other way round."""
    told = within(ratio)
    fast = f"{told} times as fast" if told else "as fast"
    if not is_slower(ratio):
        return fast
    longer = inverse(ratio)
    return f"{fast}: it took {rounded(longer.value or 0.0, longer.decimals)} times as long"


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
        slow = is_slower(first.speedup_total)
        name = f"No method was faster than {baseline}: {name}" if slow else _fastest(summary, name)
    verb, times, first_unit = _compared(first)
    told = [f"{name} {verb} {times} {first_unit} as {baseline}"]
    for row in others:
        other, times, unit = _compared(row)
        repeats = (other, unit) == (verb, first_unit) and times != _ALIKE
        words = [times] if repeats else [times, unit] if times == _ALIKE else [other, times, unit]
        told.append(" ".join([plain(row.method), *words]))
    return ", ".join(told) + _also_failed(summary)


def _fastest(summary: Summary, name: str) -> str:
    return f"The fastest of {len(methods(summary))} methods, {name},"


def _also_failed(summary: Summary) -> str:
    failed = [plain(row.method) for row in headline(summary) if row.status != "ok"]
    return f"; {', '.join(failed)} gave no time" if failed else ""


def _compared(row: MethodRow) -> tuple[str, str, str]:
    """Such as ``was``, ``2.59 times``, ``as fast``; or ``took``, ``1.74 times``, ``as long``."""
    ratio = row.speedup_total
    if is_alike(ratio):
        return "was", _ALIKE, "as fast"
    shown, verb, unit = (inverse(ratio), "took", "as long") if is_slower(ratio) else (ratio, "was", "as fast")
    return verb, f"{rounded(shown.value or 0.0, shown.decimals)} times", unit


def short_names(summary: Summary) -> str | None:
    """What figures and tables call the methods, where that is another name; None where it is none."""
    told = [f"{name} is {plain(name)}" for name in methods(summary) if plain(name) != name]
    return f"Figures and tables have short names: {', '.join(told)}." if told else None


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
