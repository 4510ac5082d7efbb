"""Faults planted one at a time in simulated runs: each is found by its name, and a run without one is left in peace."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detectors.contract import listening
from detectors.parts.chunks import Chunks
from harness.record import Condition, Sample
from harness.testing import Ear
from harness.trust import NAMES, examine, verdict
from recorded import COST_SECONDS, METHODS, Fault, judge, on, seen, simulate_records, speedups

SEEDS = range(20)
LONGEST_TEXT = 180
"""Little more than two lines of a terminal of 80 columns."""


@pytest.mark.parametrize("settings", [{}, {"processes": 3}, {"device": "cpu"}, {"images": 12}, {"repeats": 1}])
def test_a_good_run_is_called_good(settings: dict[str, Any]) -> None:
    """No rule calls more than one in 20 good runs inconclusive."""
    alarms: Counter[str] = Counter()
    for seed in SEEDS:
        findings = judge(seed, **settings)
        alarms.update(name for name, one in findings.items() if one.verdict == "inconclusive")
        assert tuple(findings) == NAMES
    assert not alarms or max(alarms.values()) <= 1, alarms


def test_a_good_run_needs_no_notes() -> None:
    """Where all was recorded, nothing is left to say, but for the place in the order once in a hundred runs."""
    noted = Counter(name for seed in SEEDS for name in seen(judge(seed)))
    assert sum(noted.values()) <= 2, noted


def _early(one: Sample) -> Sample:
    """SPP-net hands over its detections while the device is at work."""
    return on(one, tail_seconds=0.4 * (one.seconds or {})["total"]) if one.method == "spp" else one


def _forgetful(one: Sample) -> Sample:
    reason = "SynchronisationError: the clock returned while the device was at work"
    return on(one, status="error", reason=reason, seconds=None, digest=None, marks=None)


def _oom(one: Sample) -> Sample:
    if one.method != "rcnn" or one.index != 7:
        return one
    return on(one, status="oom", reason="OutOfMemoryError: 4 GiB wanted", seconds=None, digest=None)


def _broken(one: Sample) -> Sample:
    if one.method != "fast" or one.index != 3:
        return one
    return on(one, status="error", reason="RuntimeError: no", seconds=None, digest=None)


def _unlike(one: Sample) -> Sample:
    """Fast R-CNN gives another output the second time, by one detection in ten."""
    if one.method != "fast" or one.repeat == 0:
        return one
    differs = {"unmatched": 20.0, "largest_box_px": 3.0, "largest_score": 0.25}
    return on(one, digest=f"again{one.index}", disagreement=differs)


def _nearly(one: Sample) -> Sample:
    changed = _unlike(one)
    last_bits = {"unmatched": 0.0, "largest_box_px": 2e-5, "largest_score": 1e-7}
    return replace(changed, disagreement=last_bits) if changed.disagreement else changed


def _nested(one: Sample) -> Sample:
    """The stage conv is counted twice."""
    if one.seconds is None or "conv" not in one.seconds:
        return one
    seconds = one.seconds | {"conv": 2 * one.seconds["conv"]}
    return on(one, seconds=seconds | {"unattributed": one.seconds["unattributed"] - one.seconds["conv"]})


def _slow_marks(one: Sample) -> Sample:
    """Marks cost SPP-net 3 % of its time."""
    if one.method != "spp" or one.role != "unmarked" or one.seconds is None:
        return one
    return on(one, seconds={"total": one.seconds["total"] / 1.05})


def _foreign(one: Condition) -> Condition:
    return replace(one, foreign=[{"pid": 4711, "memory_bytes": 3 * 2**30}]) if one.at_seconds > 20 else one


def _glance(one: Condition) -> Condition:
    """A tool asks the device how it is, once, and holds nothing there."""
    return replace(one, foreign=[{"pid": 4712, "memory_bytes": None}]) if one.at_seconds == 3 else one


def _desktop(one: Condition) -> Condition:
    return replace(one, foreign=[{"pid": 900, "memory_bytes": 2**29, "graphics": True}])


def _again(one: Sample) -> Sample:
    """The process was interrupted in its second half and begun again twice."""
    return on(one, attempt=3 if one.sequence > 200 else 2 if one.sequence > 144 else 1)


def _load(one: Condition) -> Condition:
    return replace(one, cpu={"own": 0.7, "others": 0.25, "steal": 0.0})


def _steal(one: Condition) -> Condition:
    return replace(one, cpu={"own": 0.9, "others": 0.0, "steal": 0.04})


def _jitter(one: Condition) -> Condition:
    first, *_ = one.sentinel_seconds
    return replace(one, sentinel_seconds=(first, first * 1.3, first, first * 1.3, first * 1.15))


_HALVED = {"method": "rcnn", "image": "000007", "text": "R-CNN's chunk of crops halved to 64: out of memory"}
_ALONE = {"process": 0, "mark_seconds": 2e-6, "resident": False, "resident_reason": "rcnn did not fit beside spp"}
_UNSTEADY = {"bucket": "480x512 1024", "image": "000000", "seconds": [0.12, 0.11, 0.1], "steady": False}
_SLOW_FIRST = {"bucket": "480x512 1024", "image": "000000", "seconds": [1.2, 0.1, 0.1], "steady": True}


def _process(**changes: Any) -> dict[str, Any]:
    """A manifest's processes, changed."""
    _, _, manifest = simulate_records(0, images=4)
    return {"processes": [manifest["processes"][0] | changes]}


FAULTS: dict[str, tuple[Fault, dict[str, str]]] = {
    "missing synchronisation": (Fault(sample=_early), {"synchronisation": "inconclusive"}),
    "drift of 3 %": (Fault(drift=0.03), {"drift": "inconclusive"}),
    "position penalty of 1 %": (Fault(position=0.01), {"position": "note"}),
    "first touch": (Fault(cold={5: 10.0}), {"first-touch": "inconclusive", "warm-up": "note"}),
    "first touch in warm-up": (Fault(manifest=_process(warm_up={"spp": [_SLOW_FIRST]})), {"first-touch": "note"}),
    "never steady": (Fault(manifest=_process(warm_up={"spp": [_UNSTEADY]})), {"warm-up": "note"}),
    "out of memory": (Fault(sample=_oom), {"out-of-memory": "note"}),
    "halved chunk": (Fault(manifest={"notices": [_HALVED]}), {"out-of-memory": "note"}),
    "foreign process": (Fault(condition=_foreign), {"foreign-processes": "inconclusive"}),
    "glance": (Fault(condition=_glance), {"foreign-processes": "note"}),
    "desktop": (Fault(condition=_desktop), {"foreign-processes": "note"}),
    "two interruptions": (Fault(sample=_again), {"parts": "note"}),
    "foreign load": (Fault(condition=_load), {"load": "inconclusive"}),
    "stolen time": (Fault(condition=_steal), {"load": "inconclusive"}),
    "noise": (Fault(condition=_jitter), {"noise": "inconclusive"}),
    "differing repeats": (Fault(sample=_unlike), {"repeats": "inconclusive"}),
    "last bits": (Fault(sample=_nearly), {"repeats": "note"}),
    "detections not timed": (Fault(proofs={"fast": ["000003"], "spp": []}), {"proof": "inconclusive"}),
    "nested stages": (Fault(sample=_nested), {"closure": "inconclusive"}),
    "dear marks": (Fault(sample=_slow_marks), {"overhead": "inconclusive"}),
    "not resident": (
        Fault(manifest={"processes": [_ALONE | _process()["processes"][0] | _ALONE]}),
        {"resident": "note"},
    ),
    "failed samples": (Fault(sample=_broken), {"failed": "note"}),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_its_name_and_by_no_other(fault: str, seed: int) -> None:
    """One thing is wrong, and that is what is said."""
    planted, expected = FAULTS[fault]
    findings = judge(seed, planted)
    assert {name: findings[name].verdict for name in seen(findings)} == expected
    for name in expected:
        assert any(character.isdigit() for character in findings[name].text)
        assert "\n" not in findings[name].text
        assert "; " in findings[name].text, "a reason says what to do"
        assert len(findings[name].text) <= LONGEST_TEXT


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_throttled_clock_is_found_by_all_that_it_does(seed: int) -> None:
    """Reasons, clock and sentinel each tell of it; what belongs to the stopwatch stays silent."""
    findings = judge(seed, Fault(throttled_from=0.6))
    assert {"throttling", "clock", "drift"} <= seen(findings) <= {"throttling", "clock", "drift", "noise", "interval"}
    assert "sw_thermal" in findings["throttling"].text
    assert "nvidia-smi" in findings["clock"].text


def test_a_clock_that_does_not_wait_is_told_even_though_nothing_has_a_time() -> None:
    """Every sample failed for the same reason, and none of them is counted as failed besides."""
    samples, conditions, manifest = simulate_records(0, Fault(sample=_forgetful), images=4)
    found = {one.name: one for one in examine(samples, conditions, manifest)}
    assert found["synchronisation"].verdict == "inconclusive"
    assert f"{len(samples)} samples" in found["synchronisation"].text
    assert (found["failed"].verdict, found["images"].verdict) == ("ok", "inconclusive")


def test_repeats_on_a_cpu_must_agree_to_the_bit() -> None:
    """There, a difference in the last bits is a fault."""
    found = judge(0, Fault(sample=_nearly), device="cpu")
    assert found["repeats"].verdict == "inconclusive"
    assert found["repeats"].text.startswith("repeats of fast detected different boxes on 48 of 144 inputs")


def test_marks_are_judged_by_their_bound_unless_unmarked_calls_refute_it() -> None:
    """14 marks of a millisecond are 14 % of 0.1 s; calls without marks that take as long say that they cost nothing."""
    samples, conditions, manifest = simulate_records(0, Fault(manifest=_process(mark_seconds=1e-3)))
    exact = [on(one, seconds={"total": COST_SECONDS[one.method]}) for one in samples]
    for given, expected in ((exact, "ok"), ([one for one in exact if one.role == "measured"], "inconclusive")):
        found = next(one for one in examine(given, conditions, manifest) if one.name == "overhead")
        assert found.verdict == expected
        assert "marking costs at most 14.0 % of the total (fast)" in found.text


def test_unmarked_calls_that_scatter_are_not_spoken_of() -> None:
    """An interval that is a fifth wide and more tells of the machine; the bound stands alone."""
    samples, conditions, manifest = simulate_records(0)

    def scattered(one: Sample) -> Sample:
        if one.role != "unmarked":
            return one
        return on(one, seconds={"total": (one.seconds or {})["total"] * (3.0 if one.index % 16 else 0.4)})

    found = {one.name: one for one in examine([scattered(one) for one in samples], conditions, manifest)}["overhead"]
    assert (found.verdict, "took" in found.text) == ("ok", False)
    assert found.text.startswith("marking costs at most")
    told = {one.name: one for one in examine(samples, conditions, manifest)}["overhead"]
    assert "times what it took without" in told.text


def test_the_notice_of_a_halved_chunk_is_known_by_the_words_that_are_written() -> None:
    """A notice has no kind, so the rule and the writer have to agree on words."""

    def work(part: slice) -> None:
        if part.stop - part.start > 2:
            raise torch.OutOfMemoryError("planted")

    ear = Ear()
    with listening(ear):
        Chunks(4).run(4, work)
    told = {"notices": [{"method": "rcnn", "image": "7", "text": text} for text in ear.notices]}
    assert len(ear.notices) == 1
    assert judge(0, Fault(manifest=told))["out-of-memory"].verdict == "note"


def test_parts_are_counted_by_process() -> None:
    """Which process, and how often it was begun."""
    text = judge(0, Fault(sample=_again), processes=2)["parts"].text
    assert "process 0 in 3 parts, process 1 in 3 parts" in text
    assert judge(0, processes=2)["parts"].text == "2 processes measured in one go"


def test_first_calls_are_counted_anew_when_a_process_is_begun_again() -> None:
    """What the first start warmed is cold in the second: 40 % more on each image, in its first repeat and again."""

    def restarted(one: Sample) -> Sample:
        start = 1 + one.repeat // 2
        first = one.repeat % 2 == 0 and one.role == "measured"
        times = 1.4 if first else 1.0
        return on(one, attempt=start, seconds={key: value * times for key, value in (one.seconds or {}).items()})

    found = judge(0, Fault(sample=restarted), repeats=4, images=24)["first-touch"]
    assert found.verdict == "inconclusive"
    assert re.search(r"took (39|40|41)\.\d % longer than later ones .* on 48 images", found.text), found.text


def test_a_drifting_machine_does_not_look_like_a_first_touch() -> None:
    """One that becomes faster by a tenth makes later calls shorter; the sentinel beside them tells how much of it."""
    found = judge(0, Fault(drift=-0.1))
    assert found["drift"].verdict == "inconclusive"
    assert found["first-touch"].verdict == "ok"


def test_an_early_return_now_and_then_is_an_interruption() -> None:
    """One long tail among many is the host's doing."""

    def once(one: Sample) -> Sample:
        return _early(one) if one.index == 11 and one.repeat == 0 and one.role == "measured" else one

    assert judge(0, Fault(sample=once))["synchronisation"].verdict == "ok"


def test_a_cold_shape_is_found_where_nothing_was_measured_twice() -> None:
    """What images with so many boxes usually take is then what a cold one is held against."""
    found = judge(3, Fault(cold={5: 12.0}), repeats=1)
    assert found["first-touch"].verdict == "inconclusive"
    assert "000005" in found["first-touch"].text


def test_the_cost_of_a_cold_shape_is_not_taken_for_that_of_marks() -> None:
    """The unmarked call comes right after the first one, and is not cold any more."""
    found = judge(5, Fault(cold={8: 10.0}))
    assert (found["first-touch"].verdict, found["overhead"].verdict) == ("inconclusive", "ok")


def test_a_cold_shape_that_costs_nothing_is_no_fault() -> None:
    """Images of a rare shape may be dear in themselves."""
    assert judge(4, Fault(cold={5: 1.0, 9: 1.0}))["first-touch"].verdict == "ok"


def test_a_wide_interval_is_told_with_its_width() -> None:
    """12 % of the ratio are more than 10 %; what failed has no ratio, and what has no interval is not good."""
    samples, conditions, manifest = simulate_records(0, images=8)

    def interval(total: dict[str, Any]) -> tuple[str, str]:
        found = examine(samples, conditions, manifest, {"spp": {"total": total}})
        return next((one.verdict, one.text) for one in found if one.name == "interval")

    wide = interval({"value": 10.0, "low": 9.4, "high": 10.6})
    assert wide[0] == "inconclusive"
    assert "spp 12.0 %" in wide[1]
    assert interval({"value": 10.0, "low": 9.6, "high": 10.4})[0] == "ok"
    assert interval({"value": 10.0, "low": None, "high": None, "reason": "one block"})[0] == "inconclusive"
    assert interval({"value": None, "low": None, "high": None, "reason": "failed"})[0] == "ok"


def test_one_image_is_too_few() -> None:
    """And the verdict carries the reason."""
    samples, conditions, manifest = simulate_records(0, images=1)
    found = verdict(examine(samples, conditions, manifest, speedups(samples), {}))
    assert found["verdict"] == "inconclusive"
    assert any(reason.startswith("1 image measured") for reason in found["reasons"])
    assert [one["name"] for one in found["findings"]] == list(NAMES)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_run_of_schema_1_is_judged_by_what_it_kept(device: str) -> None:
    """Its samples as they were written: no crash, no alarm, and a note for each thing that nobody recorded."""
    path = Path(__file__).parent / "data" / "samples-v1.jsonl"
    samples = [Sample.from_values(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    manifest = {"schema_version": 1, "machine": {"device": device}, "plan": {"methods": ["rcnn", "spp"]}}
    found = {one.name: one for one in examine(samples, [], manifest)}
    # It is a run of one image.
    assert {name for name, one in found.items() if one.verdict == "inconclusive"} == {"images"}
    unknown = {name for name, one in found.items() if one.text.startswith("not recorded")}
    about_samples = {"synchronisation", "overhead", "warm-up", "first-touch"}
    assert unknown == about_samples | {"drift", "noise", "load", "throttling", "clock", "foreign-processes"}
    assert found["closure"].verdict == "ok"


def test_nothing_at_all_is_no_crash() -> None:
    """A run that was interrupted before its first sample."""
    found = verdict(examine([], [], {}))
    assert found["verdict"] == "inconclusive"
    assert found["reasons"] == ["0 images measured; no figure has an interval; measure at least 2, better 24"]


def test_one_method_alone_is_judged_too() -> None:
    """There is no ratio and no order to it."""
    samples, conditions, manifest = simulate_records(0)
    own = [one for one in samples if one.method == METHODS[1]]
    found = examine(own, conditions, manifest, {}, {})
    assert {one.name for one in found if one.verdict != "ok"} == set()


def test_what_failed_before_it_began_is_counted() -> None:
    """A method without a sample, and a process that ended early."""
    samples, conditions, manifest = simulate_records(0, images=8)
    manifest["methods"]["wide"] = {"status": "error", "reason": "SettingsError: a rank of 0"}
    manifest["processes"][0] |= {"status": "error", "reason": "killed"}
    text = next(one.text for one in examine(samples, conditions, manifest) if one.name == "failed")
    assert "wide (SettingsError: a rank of 0) could not be measured" in text
    assert "process 0 did not finish (killed)" in text
