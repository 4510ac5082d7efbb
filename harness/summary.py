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

__all__ = ["summarise"]

_METRICS: tuple[accuracy.Metric, ...] = ("voc07", "voc10")
_RATIOS = ("conv", "features", "total")
_ONE_PROCESS = "over the images of one process; other processes are not covered"
_NO_MAP_INTERVAL = "an interval over images is not computed yet"
_NO_FLOPS = "floating-point operations are not counted yet"

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


def _method(
    folder: RunFolder, manifest: Mapping[str, Any], samples: Sequence[Sample], method: str, truth: Mapping[str, Any]
) -> dict[str, Any]:
    about = manifest["methods"].get(method, {})
    own = [sample for sample in samples if sample.method == method]
    failed = [sample for sample in own if sample.status != "ok"]
    if about.get("status", "ok") != "ok":
        return {"status": about["status"], "reason": about["reason"], "paper": about.get("paper")}
    if failed:
        reason = f"{len(failed)} of {len(own)} samples failed; the first, on {failed[0].image}: {failed[0].reason}"
        return {"status": failed[0].status, "reason": reason, "paper": about.get("paper")}
    seconds = _seconds(own)
    if len(seconds) < len(truth["images"]):
        reason = f"{len(seconds)} of {len(truth['images'])} images were measured"
        return {"status": "skipped", "reason": reason, "paper": about.get("paper")}
    images = list(seconds)
    estimates = {name: mean(_values(seconds, name, images)) for name in seconds[images[0]]}
    named: dict[str, Any] = {name: _as_dict(found) for name, found in estimates.items()}
    named |= _full_system(manifest, seconds, images)
    fit = folder.read_fit(method) or {}
    return {
        "status": "ok",
        "reason": None,
        "paper": about.get("paper"),
        "trained": True,
        **_accuracy(folder, method, truth),
        "seconds": named,
        "fit_seconds": fit,
        "images": len(images),
        "model_bytes": about.get("model_bytes"),
        "iterations": about.get("iterations"),
    }


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
    result = {}
    for method, about in methods.items():
        if method == baseline or about["status"] != "ok":
            continue
        own = _seconds([sample for sample in samples if sample.method == method])
        images = list(below)
        result[method] = {name: _speedup(_values(below, name, images), _values(own, name, images)) for name in _RATIOS}
    return result


def _speedup(baseline: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> dict[str, Any]:
    flops = {"flop_ratio": None, "utilisation_ratio": None, "flop_reason": _NO_FLOPS}
    if own.mean() == 0:
        return {"value": None, "low": None, "high": None, "reason": "the method has no such stage", **flops}
    found = _as_dict(ratio_of_means(baseline, own))
    return {"value": found.pop("mean"), **found, "interval": _ONE_PROCESS, **flops}


def summarise(folder: RunFolder) -> dict[str, Any]:
    """Derive the result model from the manifest, the samples, the detections and the truth of a run.

    Raises:
        harness.runs.RunError: one of them is missing or damaged.
    """
    manifest, samples, truth = folder.read_manifest(), folder.read_samples(), folder.read_truth()
    names: list[str] = manifest["plan"]["methods"]
    methods = {name: _method(folder, manifest, samples, name, truth) for name in names}
    # The manifest keeps the plan as it was asked for, which is what --resume compares; here stands what it came to.
    about = {key: value for key, value in manifest["dataset"].items() if key != "proposal_seconds_by_image"}
    return {
        "schema_version": SCHEMA_VERSION,
        "trust": _trust(samples, manifest["machine"]["device"]),
        "created": manifest["created"],
        "command": manifest["command"],
        "baseline": names[0],
        "plan": {**manifest["plan"], "device": manifest["machine"]["device"]},
        "machine": {**manifest["machine"], **manifest["software"]},
        "source": manifest["source"],
        "dataset": about,
        "methods": methods,
        "speedup": _speedups(methods, samples, names[0]),
        "claims": None,
        "claims_reason": "published figures stand beside the measured ones; verdicts are not computed yet",
    }
