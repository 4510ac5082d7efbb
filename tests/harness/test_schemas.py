"""The published JSON Schemas say what the files of a run hold, to a validator that knows nothing of this program."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import schemas
from harness.gates.promises import broken_promise
from harness.plan import Plan
from harness.record import Sample
from harness.schemas import FORMS, schema, text
from verdicts import Planted

ROOT = Path(__file__).parents[2]
RUNS = ("shapes-default", "caffenet-speed")
DATA = Path(__file__).parent / "data"


def wrong(name: str, values: object) -> list[str]:
    """What the published schema of a form has against a document."""
    return [each.message for each in Draft202012Validator(schema(name)).iter_errors(values)]


def documents(run: Path) -> Iterator[tuple[str, Any]]:
    """All that a run folder holds, plain or packed, by the name of its form."""
    for path in [each for each in run.rglob("*") if each.is_file()]:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        name = path.name.removesuffix(".gz")
        if path.parent.name == "detections":
            yield "detections", json.loads(content)
        elif name in {"manifest.json", "truth.json", "flops.json", "summary.json"}:
            yield name.removesuffix(".json"), json.loads(content)
        elif name in {"samples.jsonl", "conditions.jsonl"}:
            yield from ((name.removesuffix("s.jsonl"), json.loads(line)) for line in content.splitlines())


@pytest.mark.parametrize("name", FORMS)
def test_each_is_a_schema_of_its_dialect(name: str) -> None:
    """With an identifier that depends on no host, and one that no other has."""
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema(name)["$id"].startswith("urn:")
    assert len({schema(each)["$id"] for each in FORMS}) == len(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_a_schema_is_its_published_text(name: str) -> None:
    """What is published is what is validated by."""
    assert json.loads(text(name)) == schema(name)


@pytest.mark.parametrize("run", RUNS)
def test_committed_runs_are_valid(run: str) -> None:
    """One that was trained, and one that was not."""
    found = list(documents(ROOT / "results" / "runs" / run))
    assert {name for name, _ in found} == set(FORMS) - {"reproduction", "model", "recall"}
    assert [(name, message) for name, values in found for message in wrong(name, values)] == []


def test_committed_recall_is_valid() -> None:
    """And damage to it is found."""
    values = json.loads((ROOT / "results/runs/boxes-voc07/recall.json").read_text())
    assert wrong("recall", values) == []
    values["parts"][0]["every"]["points"][0]["recall_50"].update(value=None)
    del values["parts"][0]["split"]
    assert any("'split' is a required property" in message for message in wrong("recall", values))
    assert any("not valid under any of the given" in message for message in wrong("recall", values))


def test_a_card_is_valid() -> None:
    """As a fit writes it, and as an earlier version did; which of its keys are wrong is found."""
    values = {
        **{"card_version": 1, "method": "spp", "backbone": "mini", "input": "RGB 0-1", "weights_sha256": "random"},
        **{"classes": ["disc"], "settings": {"sgd": {"lr": 0.1}}, "model_sha256": "ab", "harness_version": "0.1.0"},
        "plan": Plan.of({"methods": "spp"}).model_dump(mode="json"),
        "trained_on": {
            **{"dataset": "shapes", "split": "train", "images": ["a"], "sha256": "cd", "boxes_sha256": "ef"},
            "proposals": {"name": "uniform"},
        },
        "fit_seconds": {"total": 1.5},
    }
    late = {"created": "2026-01-02T03:04:05+00:00", "machine": {"device": "cpu", "gpu": None}, "begun_with": {"a": "b"}}
    assert wrong("model", values) == wrong("model", {**values, **late}) == []
    for change in ({"card_version": 2}, {"classes": "disc"}, {"fit_seconds": {"total": -1.0}}, {"machine": {"gpu": 1}}):
        assert wrong("model", {**values, **change})
    del values["trained_on"]
    assert wrong("model", values) == ["'trained_on' is a required property"]


def test_a_partial_run_is_valid(planted: Planted) -> None:
    """One whose method failed, on a GPU."""
    for run in (planted(2, failed="spp"), planted(2, device="cuda")):
        assert [(name, message) for name, values in documents(run) for message in wrong(name, values)] == []


def test_samples_of_the_first_schema_are_valid() -> None:
    """They lack what was recorded later, which is why that is not required; and they are read."""
    for line in (DATA / "samples-v1.jsonl").read_text().splitlines():
        assert wrong("sample", json.loads(line)) == []
        assert Sample.from_values(json.loads(line)).block is None


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("sample", lambda one: one.pop("method"), "'method' is a required property"),
        ("sample", lambda one: one.update(seconds={"conv": "0.1"}), "not valid under any of the given schemas"),
        ("sample", lambda one: one.update(status="fine"), "'fine' is not one of"),
        ("sample", lambda one: one.update(second=1), "Additional properties are not allowed"),
        ("condition", lambda one: one.update(sentinel_seconds=1.0), "1.0 is not of type 'array'"),
        ("manifest", lambda one: one["plan"].pop("methods"), "'methods' is a required property"),
        ("manifest", lambda one: one["plan"].update(seed="0"), "'0' is not of type 'integer'"),
        ("truth", lambda one: one["annotations"][0].update(bbox=[0, 0, -1, 5]), "-1 is less than the minimum of 0"),
        ("truth", lambda one: one.update(images=[]), "[] should be non-empty"),
        ("detections", lambda one: one[0].pop("score"), "'score' is a required property"),
        ("summary", lambda one: one.pop("trust"), "'trust' is a required property"),
        ("summary", lambda one: one["speedup"]["spp"].pop("total"), "'total' is a required property"),
        ("summary", lambda one: one["speedup"]["spp"]["total"].update(low=None), "not valid under any of the given"),
        ("summary", lambda one: one["trust"].update(verdict="perhaps"), "'perhaps' is not one of"),
        ("summary", lambda one: one.update(claims=None, claims_reason=None), "not valid under any of the given"),
        ("summary", lambda one: one["methods"].update(spp={"status": "oom"}), "is not valid under any of the given"),
    ],
)
def test_planted_damage_is_found(planted: Planted, name: str, change: Callable[[Any], object], words: str) -> None:
    """What is gone, of another type, or null without a reason makes a document invalid."""
    values = next(values for each, values in documents(planted(2)) if each == name)
    assert wrong(name, values) == []
    change(values)
    assert any(words in message for message in wrong(name, values))


def test_a_null_needs_its_reason_and_no_more(planted: Planted) -> None:
    """The schema and this program's own reader agree on that."""
    summary = json.loads((planted(2) / "summary.json").read_text())
    node = summary["speedup"]["spp"]["total"]
    for low, reason, fine in (
        (None, None, False),
        (None, "", False),
        (None, "too few images", True),
        (1.0, None, True),
    ):
        node.update(low=low, reason=reason)
        assert (wrong("summary", summary) == []) is fine
        assert (broken_promise(summary) is None) is fine


def test_a_new_key_breaks_nobody(planted: Planted) -> None:
    """Manifests and summaries may hold more than their forms say."""
    for name in ("manifest", "summary"):
        values = json.loads((planted(2) / f"{name}.json").read_text())
        assert wrong(name, {**values, "more": {"of": None}}) == []


def test_a_changed_type_makes_the_published_schema_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is added shows in the text; the same types under another pydantic count as no change."""
    from harness.freshness import outdated

    path = tmp_path / "sample.schema.json"
    path.write_text(text("sample"))
    assert outdated(tmp_path, {path.name: text("sample").encode()}) == []
    monkeypatch.setitem(schemas.FORMS, "sample", FORMS["condition"])
    schema.cache_clear()
    changed = text("sample").encode()
    schema.cache_clear()
    assert outdated(tmp_path, {path.name: changed}) == [path.name]
    assert outdated(tmp_path, {path.name: changed.replace(b"with pydantic v", b"with pydantic v0.")}) == []
