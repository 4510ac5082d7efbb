"""From a run folder to the one result model: every number that a report shows is in it, or follows by a division.

Nothing is measured or detected here: `summarise` reads what the run wrote, so `harness report` can be run anywhere.
Runs of schema 1 are read, too; what they did not record is null and has its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import trust
from harness.claims import Claim, read_claims
from harness.networks import split
from harness.quantities.anatomy import anatomy
from harness.quantities.costs import lines, sweep
from harness.quantities.first_touch import first_touch
from harness.quantities.judged import judge
from harness.quantities.latency import percentiles, seconds
from harness.quantities.observations import Observed, observe
from harness.quantities.overhead import overhead
from harness.quantities.proofs import images_that_differ
from harness.quantities.published_anatomy import published_anatomy
from harness.quantities.roofline import peak_over, shares, work
from harness.quantities.scores import no_score, score
from harness.quantities.series import series
from harness.quantities.speedups import speedups
from harness.quantities.waterfall import waterfall
from harness.record import SCHEMA_VERSION, Role, Sample
from harness.runs import RunFolder
from harness.storage import read_bytes, stored_as

__all__ = ["sample_lines", "summarise"]

_UNTRAINED = "untrained: no weight was learnt, so its detections mean nothing"
_RANDOM = "the weights of the backbone are random, so its detections say nothing of the method"
_NO_FIT = "the run folder does not say how long the fit took"
_NO_FLAGS = "the run did not keep how its libraries were set"
_FIT_IN_PARTS = "the fit was interrupted and went on later, so its seconds are not known"


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run folder holds, read once."""

    folder: RunFolder
    manifest: dict[str, Any]
    truth: dict[str, Any]
    samples: list[Sample]
    images: list[str]
    """All of the split."""
    by_role: Mapping[Role, Mapping[str, list[Sample]]]
    """The same by role and method."""
    observed: Observed
    processes: list[dict[str, Any]]
    """Of the manifest; none in a run of schema 1."""
    status: Mapping[str, tuple[str, str | None]]
    """Of each method, and why."""
    rows: Mapping[str, list[dict[str, Any]]]
    """The detections of each method that succeeded, in COCO results format."""

    @property
    def names(self) -> list[str]:
        """The methods in the order of the plan; the first is the baseline."""
        names: list[str] = self.manifest["plan"]["methods"]
        return names

    @property
    def succeeded(self) -> list[str]:
        return [name for name in self.names if self.status[name][0] == "ok"]

    def of(self, method: str, role: Role = "measured") -> list[Sample]:
        return self.by_role[role].get(method, [])

    def counted(self, method: str) -> Sequence[Sample]:
        """The measured samples of a method that succeeded which make the figures."""
        return self.observed.by_method[method].samples


def _read(folder: RunFolder) -> _Run:
    manifest, truth = folder.read_manifest(), folder.read_truth()
    by_role: dict[Role, dict[str, list[Sample]]] = {
        role: defaultdict(list) for role in ("measured", "unmarked", "sweep")
    }
    samples = folder.read_samples()
    for sample in samples:
        by_role[sample.role][sample.method].append(sample)
    images = [image["id"] for image in truth["images"]]
    failed = {name: _failure(manifest, name, by_role["measured"][name]) for name in manifest["plan"]["methods"]}
    observed = observe({name: by_role["measured"][name] for name, why in failed.items() if why is None}, images)
    status: dict[str, tuple[str, str | None]] = {
        name: why or (("skipped", observed.lacking[name]) if name in observed.lacking else ("ok", None))
        for name, why in failed.items()
    }
    rows = {name: folder.read_detections(name) for name, (found, _) in status.items() if found == "ok"}
    processes = manifest.get("processes") or []
    return _Run(folder, manifest, truth, samples, images, by_role, observed, processes, status, rows)


def _failure(manifest: Mapping[str, Any], method: str, samples: Sequence[Sample]) -> tuple[str, str | None] | None:
    """What went wrong with a method and why; None where nothing did."""
    about = manifest["methods"].get(method, {})
    if about.get("status", "ok") != "ok":
        return about["status"], about["reason"]
    failed = [sample for sample in samples if sample.status != "ok"]
    if failed:
        first = f"the first, on {failed[0].image}: {failed[0].reason}"
        return failed[0].status, f"{len(failed)} of {len(samples)} samples failed; {first}"
    return None


def _scores(run: _Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Accuracy by method, and the differences to the baseline."""
    random = run.manifest["plan"]["weights"] == "random"
    nothing, rows = {}, {}
    for name in run.succeeded:
        trained = run.manifest["methods"].get(name, {}).get("trained", True)
        if not trained or random:
            first = {sample.image: sample.detections or 0 for sample in reversed(run.of(name))}
            nothing[name] = no_score(_RANDOM if trained else _UNTRAINED, sum(first.values()))
        else:
            rows[name] = run.rows[name]
    scores, differences = score(rows, run.truth, baseline=run.names[0], seed=run.manifest["plan"]["seed"])
    return {**nothing, **scores}, differences


def _method(
    run: _Run, method: str, scores: Mapping[str, Any], flops: Mapping[str, Any] | None, peak: Mapping[str, Any]
) -> dict[str, Any]:
    about = run.manifest["methods"].get(method, {})
    status, reason = run.status[method]
    if status != "ok":
        return {"status": status, "reason": reason, "paper": about.get("paper")}
    trained = about.get("trained", True)
    spent = seconds(run.observed.by_method[method], run.manifest["dataset"]["proposal_seconds_by_image"])
    return {
        "status": "ok",
        "reason": None,
        "paper": about.get("paper"),
        "trained": trained,
        **scores[method],
        "seconds": spent,
        **work(flops),
        "peak_share": shares(flops, spent, peak),
        **_fit(run.folder, about, method),
        "images": len(run.images),
        "model_bytes": about.get("model_bytes"),
        "model_bytes_reason": None if trained else _UNTRAINED,
        "iterations": about.get("iterations"),
        "chunk": about.get("chunk"),
    }


def _fit(folder: RunFolder, about: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Under which name the model was fitted, and how long that took."""
    if not about.get("trained", True):
        return {"fitted_as": None, "fit_seconds": {}, "fit_seconds_reason": _UNTRAINED}
    name = about.get("fitted_as", method)
    spent = about.get("fit_seconds", folder.read_fit(name))
    reason = None if spent else _NO_FIT if spent is None else _FIT_IN_PARTS
    begun = {"begun_with": about["begun_with"]} if about.get("begun_with") else {}
    return {"fitted_as": name, "fit_seconds": spent or {}, "fit_seconds_reason": reason, **begun}


def _stopwatch(run: _Run) -> dict[str, Any]:
    """What the samples say beyond means and ratios, by method that succeeded."""
    names = run.succeeded
    swept = sweep({name: run.of(name, "sweep") for name in names}, run.images)
    megapixels = {image["id"]: _megapixels(image) for image in run.truth["images"]}
    return {
        "percentiles": {name: percentiles(run.observed.by_method[name]) for name in names},
        "overhead": {name: overhead(run.counted(name), run.of(name, "unmarked"), run.processes) for name in names},
        "warm_up": {name: first_touch(name, run.counted(name), run.processes) for name in names},
        "lines": {name: lines(run.counted(name), run.of(name, "sweep"), megapixels, swept["points"]) for name in names},
        "sweep": swept,
    }


def _megapixels(image: Mapping[str, Any]) -> float | None:
    height, width = image.get("height"), image.get("width")
    return height * width / 1e6 if height and width else None


def _taken_apart(run: _Run, methods: Mapping[str, Any], claims: Sequence[Claim]) -> dict[str, Any]:
    """What explains the speed-ups, measured and published."""
    return {
        "anatomy": anatomy(methods, run.observed.by_method, run.names[0]),
        "waterfall": waterfall(run.observed.by_method),
        "published_anatomy": published_anatomy(claims, {split(name)[0] for name in run.names}),
    }


def _processes(run: _Run) -> list[dict[str, Any]]:
    """What each process says of itself, its warm-up aside, and in how many attempts it was measured."""
    found = []
    for each in run.processes:
        about = {key: value for key, value in each.items() if key not in ("warm_up", "earlier")}
        found.append({**about, "attempts": 1 + len(each.get("earlier") or ())})
    return found


def _passes(run: _Run) -> dict[str, Any]:
    """Which processes and repeats make the figures, and which were begun and do not."""
    return {
        name: [{"process": process, "repeat": repeat} for process, repeat in of]
        for name, of in (("complete", run.observed.passes), ("left_out", run.observed.left_out))
    }


def _came_to(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan left open."""
    plan = {"device": manifest["machine"]["device"], "precision": manifest["plan"].get("precision", "fp32")}
    if manifest["plan"]["iterations"] is None:
        plan["iterations"] = 0 if manifest["plan"]["weights"] == "random" else "quick"
    return plan


def sample_lines(folder: RunFolder) -> int:
    """How many samples a run has on disk, those that were measured again counted each time."""
    path = folder.path / "samples.jsonl"
    # Ends of lines and not lines: what was torn by a kill is no sample, and nothing need be parsed once more.
    return 0 if stored_as(path) is None else read_bytes(path).count(b"\n")


def summarise(folder: RunFolder) -> dict[str, Any]:
    """Derive the result model from the manifest, the samples, the detections and the truth of a run.

    Raises:
        harness.runs.RunError: one of them is missing or damaged.
    """
    run = _read(folder)
    manifest, flops, claims = run.manifest, folder.read_flops(), read_claims()
    scores, differences = _scores(run)
    peak = peak_over(run.processes, run.observed.passes)
    methods = {name: _method(run, name, scores, flops.get(name), peak) for name in run.names}
    ratios = speedups(methods, run.observed.by_method, run.names[0])
    proofs = {name: images_that_differ(run.rows[name], run.of(name)) for name in run.succeeded}
    findings = trust.examine(run.samples, folder.read_conditions(), manifest, ratios, proofs)
    # The manifest keeps the plan as it was asked for, which is what --resume compares; here stands what it came to.
    about = {key: value for key, value in manifest["dataset"].items() if key != "proposal_seconds_by_image"}
    summary = {
        "schema_version": SCHEMA_VERSION,
        "trust": trust.verdict(findings),
        "created": manifest["created"],
        "command": manifest["command"],
        "baseline": run.names[0],
        "plan": {**manifest["plan"], **_came_to(manifest)},
        "machine": {**manifest["machine"], **manifest["software"]},
        "flags": manifest.get("flags"),
        "flags_reason": None if manifest.get("flags") else _NO_FLAGS,
        **peak,
        "source": manifest["source"],
        "other_sources": [each for each in manifest.get("resumed", ()) if each["source"] != manifest["source"]],
        "dataset": about,
        "methods": methods,
        **({"models": manifest["models"]} if manifest.get("models") else {}),
        "notices": manifest.get("notices", []),
        "speedup": ratios,
        "map_difference": differences,
        **_stopwatch(run),
        "processes": _processes(run),
        "passes": _passes(run),
        "samples": sample_lines(folder),
        "proofs": proofs,
        **_taken_apart(run, methods, claims),
        "series": series(run.observed, run.samples, run.truth),
    }
    proposal_seconds = manifest["dataset"]["proposal_seconds_by_image"]
    return {**summary, "claims": judge(claims, summary, run.observed, proposal_seconds)}
