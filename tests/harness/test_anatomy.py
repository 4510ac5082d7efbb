"""A run's speed-ups taken apart by stage: the two factors, their intervals, and what has time alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.claims import DETECTING, FEATURES, RATIOS
from harness.quantities.anatomy import TIME_ALONE, anatomy
from harness.quantities.observations import Observations
from harness.quantities.speedups import speedups
from harness.record import Sample
from harness.rendering import anatomy as rendered
from harness.rendering.cells import Notes

PARTS = (*DETECTING, "unattributed")
COUNTED = ("prepare", "conv", "fc", "decode", "features", "total")
OPERATIONS = {
    "rcnn": {"prepare": 8e9, "conv": 4e12, "fc": 2e11, "decode": 4e9},
    "fast": {"prepare": 2e7, "conv": 2e10, "fc": 2e11, "decode": 1e9},
}


def observed(cost: Mapping[str, float], *, processes: int = 1, images: int = 8, position: int = 0) -> Observations:
    """Times of each stage about `cost`, with noise of their own and a cost that all stages of an image share."""
    samples = []
    for process in range(processes):
        rng = np.random.default_rng(17 * process + position)
        for index in range(images):
            shared = 1 + 0.3 * np.sin(index)
            seconds = {part: float(cost[part] * shared * rng.lognormal(0, 0.05)) for part in PARTS}
            seconds |= {
                "total": sum(seconds.values()),
                "features": sum(seconds[part] for part in FEATURES),
            }
            place = (position + index // 2) % 2
            one = Sample(process, 0, "any", f"{index:03}", index, place, "ok", seconds=seconds, block=index // 2)
            samples.append(one)
    return Observations(samples, [f"{index:03}" for index in range(images)])


COSTS = {
    "rcnn": dict(zip(PARTS, (0.2, 0, 3.0, 0.03, 0.3, 0.01, 0.002, 0.006), strict=True)),
    "fast": dict(zip(PARTS, (0.002, 0, 0.04, 0.08, 0.3, 0.008, 0.002, 0.003), strict=True)),
}


def about(name: str, **changes: Any) -> dict[str, Any]:
    flops = {**dict.fromkeys(DETECTING[:-1], 0.0), **OPERATIONS[name], "suppress": None}
    flops["total"] = sum(flops[part] or 0 for part in DETECTING)
    flops["features"] = sum(flops[part] or 0 for part in FEATURES)
    return {"status": "ok", "reason": None, "flops": flops, "flops_reason": None, **changes}


METHODS = {name: about(name) for name in OPERATIONS}
OBSERVED = {name: observed(cost, position=at) for at, (name, cost) in enumerate(COSTS.items())}


def test_every_counted_stage_is_two_factors() -> None:
    """Speed-up is the ratio of operations, by hand, times that of the rates at which they are carried out."""
    found = anatomy(METHODS, OBSERVED, "rcnn")
    assert list(found) == ["fast"]
    for stage in COUNTED:
        node = found["fast"][stage]
        above, below = node["seconds"]
        expected = METHODS["rcnn"]["flops"][stage] / METHODS["fast"]["flops"][stage]
        rates = [METHODS[name]["flops"][stage] / spent for name, spent in zip(METHODS, (above, below), strict=True)]
        assert node["flop_ratio"] == pytest.approx(expected)
        assert node["utilisation_ratio"]["value"] == pytest.approx(rates[1] / rates[0])
        assert node["speedup"]["value"] == pytest.approx(above / below)
        for end in ("low", "high"):
            assert node["utilisation_ratio"][end] * expected == pytest.approx(node["speedup"][end])
        assert node["reason"] is None


def test_it_agrees_with_the_speed_ups_of_the_summary() -> None:
    """Value, ends and what they cover are those that stand in the headline."""
    headline, found = speedups(METHODS, OBSERVED, "rcnn"), anatomy(METHODS, OBSERVED, "rcnn")
    for name in RATIOS:
        node = headline["fast"][name]
        assert found["fast"][name]["speedup"] == {key: node[key] for key in found["fast"][name]["speedup"]}
        assert found["fast"][name]["flop_ratio"] == node["flop_ratio"]
        assert found["fast"][name]["utilisation_ratio"]["value"] == node["utilisation_ratio"]


def test_stages_without_operations_are_time() -> None:
    """Pooling, suppression and the rest have seconds and no utilisation; only the rest has no ratio of times."""
    found = anatomy(METHODS, OBSERVED, "rcnn")["fast"]
    for stage in TIME_ALONE:
        node = found[stage]
        assert node["seconds"] == [pytest.approx(OBSERVED[name].values(stage).mean()) for name in METHODS]
        assert (node["flop_ratio"], node["utilisation_ratio"]["value"]) == (None, None)
        assert node["reason"]
        assert (node["speedup"]["value"] is None) == (stage == "unattributed")
    assert "propose" not in found


@pytest.mark.parametrize(
    ("base", "own", "words"),
    [
        ({}, {"flops": None, "flops_reason": "it needs values"}, "it needs values"),
        ({"flops": None, "flops_reason": "never counted"}, {}, "never counted"),
        ({}, {"flops": {"conv": 0.0}}, "no operation of the method"),
        ({"flops": {"conv": 0.0}}, {}, "no operation of the baseline"),
    ],
)
def test_what_was_not_counted_has_a_reason(base: dict[str, Any], own: dict[str, Any], words: str) -> None:
    """The speed-up is there all the same."""
    methods = {"rcnn": about("rcnn", **base), "fast": about("fast", **own)}
    node = anatomy(methods, OBSERVED, "rcnn")["fast"]["conv"]
    assert node["speedup"]["value"] > 1
    assert (node["flop_ratio"], node["utilisation_ratio"]["value"]) == (None, None)
    assert words in node["reason"]


@pytest.mark.parametrize(
    ("absent", "words"), [("fast", "the method has no such"), ("rcnn", "the baseline has no such")]
)
def test_a_stage_that_one_of_both_lacks(absent: str, words: str) -> None:
    """Its time is 0, and no ratio is made of it."""
    costs = {name: {**cost, "decode": 0.0} if name == absent else cost for name, cost in COSTS.items()}
    node = anatomy(METHODS, {name: observed(cost) for name, cost in costs.items()}, "rcnn")["fast"]["decode"]
    assert 0 in node["seconds"]
    assert node["speedup"]["value"] is node["utilisation_ratio"]["value"] is None
    assert words in node["speedup"]["reason"]


def test_failed_methods_have_none() -> None:
    """Neither has any method over a baseline that failed."""
    failed = {"status": "oom", "reason": "too large", "flops": None, "flops_reason": "too large"}
    assert anatomy({**METHODS, "fast": failed}, OBSERVED, "rcnn") == {}
    assert anatomy({**METHODS, "rcnn": failed}, OBSERVED, "rcnn") == {}


@given(st.integers(1, 4), st.floats(0.01, 100))
def test_the_factors_hold_in_any_unit_and_number_of_processes(processes: int, unit: float) -> None:
    """A clock that counts otherwise changes no ratio."""
    times = [
        {name: observed({part: scale * each for part, each in cost.items()}, processes=processes, images=4)}
        for scale in (1.0, unit)
        for name, cost in COSTS.items()
    ]
    first, second = {**times[0], **times[1]}, {**times[2], **times[3]}
    one, other = (anatomy(METHODS, each, "rcnn")["fast"] for each in (first, second))
    for stage in COUNTED:
        factors = one[stage]["flop_ratio"] * one[stage]["utilisation_ratio"]["value"]
        assert factors == pytest.approx(one[stage]["speedup"]["value"])
        for key in ("speedup", "utilisation_ratio"):
            for end in ("value", "low", "high"):
                assert one[stage][key][end] == pytest.approx(other[stage][key][end])


THREE = ("mix_ratio", "rate_ratio", "uncounted_ratio")


@pytest.mark.parametrize("stage", ["features", "total"])
def test_a_sum_is_moved_to_other_stages_and_rates(stage: str) -> None:
    """Each factor by a literal loop over stages, at the mean seconds that stand beside them."""
    found = anatomy(METHODS, OBSERVED, "rcnn")["fast"]
    at_base_rates, counted = 0.0, [0.0, 0.0]
    for part in ("prepare", "conv", "fc", "decode"):
        if stage == "total" or part in FEATURES:
            above, below = found[part]["seconds"]
            rate = METHODS["rcnn"]["flops"][part] / above
            at_base_rates += METHODS["fast"]["flops"][part] / rate
            counted = [counted[0] + above, counted[1] + below]
    node, whole = found[stage], found[stage]["seconds"]
    assert node["mix_ratio"]["value"] * node["flop_ratio"] == pytest.approx(counted[0] / at_base_rates)
    assert node["rate_ratio"]["value"] == pytest.approx(at_base_rates / counted[1])
    uncounted = (whole[0] / counted[0]) / (whole[1] / counted[1])
    assert node["uncounted_ratio"]["value"] == pytest.approx(uncounted)
    for key in THREE:
        assert node[key]["low"] < node[key]["value"] < node[key]["high"]


costs = st.fixed_dictionaries({part: st.floats(1e-4, 10) for part in PARTS if part != "propose"})
asked = st.fixed_dictionaries({part: st.floats(1e3, 1e13) for part in ("prepare", "conv", "fc", "decode")})


@given(costs, costs, asked, asked, st.integers(1, 4))
def test_the_factors_of_a_sum_are_its_speed_up(
    base: dict[str, float], own: dict[str, float], above: dict[str, float], below: dict[str, float], processes: int
) -> None:
    """Whatever the times, the operations and the number of processes: nothing is left over."""
    times = {
        name: observed({**cost, "propose": 0.0}, processes=processes, images=4, position=at)
        for at, (name, cost) in enumerate((("rcnn", base), ("fast", own)))
    }
    methods = {}
    for name, counts in (("rcnn", above), ("fast", below)):
        flops = {**dict.fromkeys(DETECTING, 0.0), **counts}
        sums = {"features": sum(flops[part] for part in FEATURES), "total": sum(flops[part] for part in DETECTING)}
        methods[name] = about(name, flops={**flops, **sums})
    for stage in ("features", "total"):
        node = anatomy(methods, times, "rcnn")["fast"][stage]
        product = np.prod([node[key]["value"] for key in THREE])
        assert product == pytest.approx(node["utilisation_ratio"]["value"], rel=1e-9)
        assert node["flop_ratio"] * product == pytest.approx(node["speedup"]["value"], rel=1e-9)


def test_what_only_rates_do_is_in_the_rate() -> None:
    """Half the time for the same operations, stage by stage, is all rate; without other stages none is uncounted."""
    only = {**dict.fromkeys(PARTS, 0.0), "prepare": 0.2, "conv": 3.0, "fc": 0.3, "decode": 0.01}
    times = {
        name: observed({part: cost * share for part, cost in only.items()})
        for name, share in (("rcnn", 1), ("fast", 0.5))
    }
    node = anatomy({name: about("rcnn") for name in times}, times, "rcnn")["fast"]["total"]
    assert (node["flop_ratio"], node["mix_ratio"]["value"]) == (pytest.approx(1), pytest.approx(1))
    assert node["rate_ratio"]["value"] == pytest.approx(2)
    assert [node["uncounted_ratio"][end] for end in ("value", "low", "high")] == pytest.approx([1, 1, 1])


def test_the_uncounted_interval_covers_its_truth() -> None:
    """Runs drawn anew with known means: about 95 of 100 intervals hold the ratio of ratios."""
    truth = (sum(COSTS["rcnn"].values()) / sum(COSTS["rcnn"][part] for part in ("prepare", "conv", "fc", "decode"))) / (
        sum(COSTS["fast"].values()) / sum(COSTS["fast"][part] for part in ("prepare", "conv", "fc", "decode"))
    )
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        times = {}
        for name, cost in COSTS.items():
            samples = []
            for index in range(12):
                seconds = {part: float(each * rng.gamma(100, 0.01)) for part, each in cost.items()}
                seconds |= {"total": sum(seconds.values()), "features": sum(seconds[part] for part in FEATURES)}
                samples.append(Sample(0, 0, "any", f"{index:03}", index, 0, "ok", seconds=seconds, block=index))
            times[name] = Observations(samples, [f"{index:03}" for index in range(12)])
        node = anatomy(METHODS, times, "rcnn")["fast"]["total"]["uncounted_ratio"]
        held += node["low"] <= truth <= node["high"]
    assert held >= 88


@pytest.mark.parametrize(
    ("base", "own", "words"),
    [
        ({}, {"flops": None, "flops_reason": "it needs values"}, "it needs values"),
        ({"flops": {**METHODS["rcnn"]["flops"], "pool": 5.0}}, {}, "operations and time of pool"),
    ],
)
def test_a_sum_that_cannot_be_split_says_why(base: dict[str, Any], own: dict[str, Any], words: str) -> None:
    """Not counted at all, or in one of both alone."""
    node = anatomy({"rcnn": about("rcnn", **base), "fast": about("fast", **own)}, OBSERVED, "rcnn")["fast"]["total"]
    for key in THREE:
        assert node[key]["value"] is None
        assert words in node[key]["reason"]


def shown(**changes: Any) -> str:
    summary = {
        "schema_version": 2,
        "baseline": "rcnn",
        "plan": {"methods": ["rcnn", "fast"]},
        "methods": METHODS,
        "speedup": speedups(METHODS, OBSERVED, "rcnn"),
        "anatomy": anatomy(METHODS, OBSERVED, "rcnn"),
        **changes,
    }
    notes = Notes()
    return "\n\n".join([*rendered.section(summary, notes), *notes.lines()])


def test_the_report_has_a_line_for_each_stage() -> None:
    """In the order in which it happens, with time alone where there is nothing else."""
    text = shown()
    lines = [line for line in text.splitlines() if line.startswith("|") and "| fast" in line]
    stages = [line.split("|")[1].strip() for line in lines]
    assert stages == [*(part for part in PARTS if part != "propose"), "features", "total", "features", "total"]
    lines, stages = lines[:-2], stages[:-2]
    by_stage = dict(zip(stages, lines, strict=True))
    assert by_stage["pool"].count("–[^") == 2
    assert by_stage["unattributed"].count("–[^") == 3
    assert "200×" in by_stage["conv"]
    assert "–" not in by_stage["total"]


def test_the_report_shows_what_sums_are_made_of() -> None:
    """Speed-up, operations and three factors; a summary that has none of these has no such table."""
    text = shown()
    assert "| sum " in text
    for word in ("mix", "rate", "uncounted"):
        assert f"× {word} |" in text
    found = anatomy(METHODS, OBSERVED, "rcnn")
    bare = {"fast": {name: {k: v for k, v in node.items() if k not in THREE} for name, node in found["fast"].items()}}
    assert "| sum " not in shown(anatomy=bare)


def test_a_summary_of_before_is_shown_as_it_was() -> None:
    """Without an anatomy there are the ratios of conv, features and total."""
    text = shown(anatomy=None)
    assert "Anatomy" not in text
    for name in RATIOS:
        assert f"{name}: ratio of operations" in text
        assert f"{name}: ratio of utilisation" in text
