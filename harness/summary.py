"""From a run folder to the one result model: every number that a report shows is in it, or follows by a division.

Nothing is measured or detected here: `summarise` reads what the run wrote, so `harness report` can be run anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import accuracy
from harness.coco import detection_table, truth_table
from harness.record import SCHEMA_VERSION, Sample
from harness.runs import RunFolder
from harness.statistics import Estimate, mean, ratio_of_means

__all__ = ["NOT_COUNTED", "summarise"]

_METRICS: tuple[accuracy.Metric, ...] = ("voc07", "voc10")
_RATIOS = ("conv", "features", "total")
_ONE_PROCESS = "over the images of one process; other processes are not covered"
_NO_MAP_INTERVAL = "an interval over images is not computed yet"
NOT_COUNTED = "floating-point operations were not counted"
_UNTRAINED = "untrained: no weight was learnt, so its detections mean nothing"
_RANDOM = "the weights of the backbone are random, so its detections say nothing of the method"
_NO_FIT = "the run folder does not say how long the fit took"
_FIT_IN_PARTS = "the fit was interrupted and went on later, so its seconds are not known"
_COUNTED = ("prepare", "propose", "conv", "pool", "fc", "decode")
_FEATURES = ("prepare", "conv", "pool", "fc")

Seconds = dict[str, dict[str, float]]
"""By image, then by stage: the mean over repeats."""


def _seconds(samples: Sequence[Sample]) -> Seconds:
    gathered: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        for name, seconds in (sample.seconds or {}).items():
            gathered[sample.image][name].append(seconds)
    return {image: {name: float(np.mean(values)) for name, values in of.items()} for image, of in gathered.items()}


def _values(seconds: Seconds, name: str, images: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([seconds[image][name] for image in images])


def _as_dict(estimate: Estimate) -> dict[str, Any]:
    reason = None if estimate.low is not None else "an interval needs at least two images"
    return {"mean": estimate.value, "low": estimate.low, "high": estimate.high, "reason": reason}


def _trust(samples: Sequence[Sample], device: str) -> dict[str, Any]:
    """What makes this run's figures doubtful. On a CPU, repeats of a method on an image must detect the very same.

    On a GPU they need not: sums that threads race to make differ in their last bits.
    """
    if device != "cpu":
        return {"verdict": "ok", "reasons": []}
    digests: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for sample in samples:
        if sample.status == "ok":
            digests[sample.method, sample.image].add(sample.digest)
    differing = sorted({method for (method, _), found in digests.items() if len(found) > 1})
    reasons = [f"repeats of {method} detected different boxes on the same image" for method in differing]
    return {"verdict": "inconclusive" if reasons else "ok", "reasons": reasons}


def _no_accuracy(reason: str, detections: int) -> dict[str, Any]:
    none = {"value": None, "low": None, "high": None, "reason": reason, "tie_low": None, "tie_high": None}
    return {
        "map": {metric: dict(none) for metric in _METRICS},
        "ap": None,
        "ap_reason": reason,
        "ap_voc10": None,
        "ap_voc10_reason": reason,
        "detections": detections,
    }


def _accuracy(folder: RunFolder, method: str, truth: Mapping[str, Any]) -> dict[str, Any]:
    image_ids = [image["id"] for image in truth["images"]]
    classes = [category["name"] for category in truth["categories"]]
    rows = folder.read_detections(method)
    detections, objects = detection_table(rows, image_ids), truth_table(truth)
    result: dict[str, Any] = {"map": {}, "detections": len(rows)}
    for metric, key in zip(_METRICS, ("ap", "ap_voc10"), strict=True):
        found = accuracy.evaluate(detections, objects, n_classes=len(classes), metric=metric)
        tie_low, tie_high = found.map_tie_range or (None, None)
        result["map"][metric] = {
            "value": found.map,
            "low": None,
            "high": None,
            "reason": "no class has an object that is not difficult" if found.map is None else _NO_MAP_INTERVAL,
            "tie_low": tie_low,
            "tie_high": tie_high,
        }
        result[key] = dict(zip(classes, found.ap, strict=True))
    return result


def _status(about: Mapping[str, Any], samples: Sequence[Sample], measured: int, images: int) -> tuple[str, str | None]:
    """``ok``, or what went wrong with a method and why."""
    failed = [sample for sample in samples if sample.status != "ok"]
    if about.get("status", "ok") != "ok":
        return about["status"], about["reason"]
    if failed:
        first = f"the first, on {failed[0].image}: {failed[0].reason}"
        return failed[0].status, f"{len(failed)} of {len(samples)} samples failed; {first}"
    if measured < images:
        return "skipped", f"{measured} of {images} images were measured"
    return "ok", None


def _method(
    folder: RunFolder,
    manifest: Mapping[str, Any],
    samples: Sequence[Sample],
    method: str,
    truth: Mapping[str, Any],
    flops: Mapping[str, Any] | None,
) -> dict[str, Any]:
    about = manifest["methods"].get(method, {})
    own = [sample for sample in samples if sample.method == method]
    seconds = _seconds(own)
    status, reason = _status(about, own, len(seconds), len(truth["images"]))
    if status != "ok":
        return {"status": status, "reason": reason, "paper": about.get("paper")}
    images = list(seconds)
    estimates = {name: mean(_values(seconds, name, images)) for name in seconds[images[0]]}
    named: dict[str, Any] = {name: _as_dict(found) for name, found in estimates.items()}
    named |= _full_system(manifest, seconds, images)
    trained, random = about.get("trained", True), manifest["plan"]["weights"] == "random"
    nothing = _UNTRAINED if not trained else _RANDOM if random else None
    return {
        "status": "ok",
        "reason": None,
        "paper": about.get("paper"),
        "trained": trained,
        **(
            _no_accuracy(nothing, sum(one.detections or 0 for one in own if one.repeat == 0))
            if nothing
            else _accuracy(folder, method, truth)
        ),
        "seconds": named,
        "flops": _mean_flops(flops),
        "flops_reason": _flops_reason(flops),
        **_fit(folder, about, method),
        "images": len(images),
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
    seconds = about.get("fit_seconds", folder.read_fit(name))
    reason = None if seconds else _NO_FIT if seconds is None else _FIT_IN_PARTS
    return {"fitted_as": name, "fit_seconds": seconds or {}, "fit_seconds_reason": reason}


def _flops_reason(counted: Mapping[str, Any] | None) -> str | None:
    return NOT_COUNTED if counted is None else counted["reason"]


def _mean_flops(counted: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """Floating-point operations by stage, of ``features`` and in ``total``, mean per image."""
    if counted is None or counted["reason"] is not None:
        return None
    images = list(counted["images"].values())
    means: dict[str, float | None] = {
        name: float(np.mean([image[name] for image in images])) for name in (*_COUNTED, "total")
    }
    features = float(np.mean([sum(image[name] for name in _FEATURES) for image in images]))
    return {**means, "suppress": None, "features": features}


def _full_system(manifest: Mapping[str, Any], seconds: Seconds, images: Sequence[str]) -> dict[str, Any]:
    spent = manifest["dataset"]["proposal_seconds_by_image"]
    if any(spent[image] is None for image in images):
        return {"full_system": None, "full_system_reason": "what making the boxes took is not known"}
    found = mean(_values(seconds, "total", images) + np.array([spent[image] for image in images]))
    return {"full_system": _as_dict(found), "full_system_reason": None}


def _speedups(methods: Mapping[str, Any], samples: Sequence[Sample], baseline: str) -> dict[str, Any]:
    if methods[baseline]["status"] != "ok":
        return {}
    below = _seconds([sample for sample in samples if sample.method == baseline])
    result: dict[str, dict[str, Any]] = {}
    for method, about in methods.items():
        if method == baseline or about["status"] != "ok":
            continue
        own = _seconds([sample for sample in samples if sample.method == method])
        images = list(below)
        result[method] = {}
        for name in _RATIOS:
            found = _speedup(_values(below, name, images), _values(own, name, images))
            result[method][name] = {**found, **_anatomy(found["value"], name, methods[baseline], about)}
    return result


def _speedup(baseline: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> dict[str, Any]:
    if own.mean() == 0:
        return {"value": None, "low": None, "high": None, "reason": "the method has no such stage"}
    found = _as_dict(ratio_of_means(baseline, own))
    return {"value": found.pop("mean"), **found, "interval": _ONE_PROCESS}


def _anatomy(speedup: float | None, name: str, baseline: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A speed-up is the ratio of the operations times the ratio of the rates at which they are carried out."""
    none = {"flop_ratio": None, "utilisation_ratio": None}
    for about in (baseline, own):
        if about["flops"] is None:
            return {**none, "flop_reason": about["flops_reason"]}
    if speedup is None or not own["flops"][name]:
        return {**none, "flop_reason": "the method has no such stage, or no operation in it is counted"}
    ratio = baseline["flops"][name] / own["flops"][name]
    utilisation = speedup / ratio if ratio else None
    reason = None if ratio else "no operation of the baseline is counted in this stage"
    return {"flop_ratio": ratio or None, "utilisation_ratio": utilisation, "flop_reason": reason}


def _came_to(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the plan left open."""
    plan = {"device": manifest["machine"]["device"], "precision": manifest["plan"].get("precision", "fp32")}
    if manifest["plan"]["iterations"] is None:
        plan["iterations"] = 0 if manifest["plan"]["weights"] == "random" else "quick"
    return plan


def summarise(folder: RunFolder) -> dict[str, Any]:
    """Derive the result model from the manifest, the samples, the detections and the truth of a run.

    Raises:
        harness.runs.RunError: one of them is missing or damaged.
    """
    manifest, samples, truth = folder.read_manifest(), folder.read_samples(), folder.read_truth()
    names: list[str] = manifest["plan"]["methods"]
    flops = folder.read_flops()
    methods = {name: _method(folder, manifest, samples, name, truth, flops.get(name)) for name in names}
    # The manifest keeps the plan as it was asked for, which is what --resume compares; here stands what it came to.
    about = {key: value for key, value in manifest["dataset"].items() if key != "proposal_seconds_by_image"}
    return {
        "schema_version": SCHEMA_VERSION,
        "trust": _trust(samples, manifest["machine"]["device"]),
        "created": manifest["created"],
        "command": manifest["command"],
        "baseline": names[0],
        "plan": {**manifest["plan"], **_came_to(manifest)},
        "machine": {**manifest["machine"], **manifest["software"]},
        "source": manifest["source"],
        "other_sources": [each for each in manifest.get("resumed", ()) if each["source"] != manifest["source"]],
        "dataset": about,
        "methods": methods,
        "notices": manifest.get("notices", []),
        "speedup": _speedups(methods, samples, names[0]),
        "claims": None,
        "claims_reason": "published figures stand beside the measured ones; verdicts are not computed yet",
    }
