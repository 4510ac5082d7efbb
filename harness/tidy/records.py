"""What a run recorded: samples, stages, boxes and looks at the machine, a row each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from statistics import median
from typing import Any, get_args

import pandas as pd

from harness.claims import DETECTING
from harness.record import Condition, Role, Sample, Status
from harness.tidy.columns import SUMS, Names, Row, Types, ordered, table

__all__ = ["boxes", "conditions", "images", "samples", "stages"]


def _of_sample(names: Names) -> Types:
    """What tells one sample from another."""
    return {
        "process": "int64",
        "repeat": "int64",
        "method": names.method,
        "image": names.image,
        "role": ordered(get_args(Role)),
        "point": "string",
    }


def samples(found: Sequence[Sample], names: Names) -> pd.DataFrame:
    """A row a sample, with the seconds of its sums."""
    types = {
        **_of_sample(names),
        "status": ordered(get_args(Status)),
        "reason": "string",
        **{f"{name}_seconds": "float64" for name in SUMS},
        **dict.fromkeys(("detections", "boxes", "block", "marks"), "Int64"),
        **dict.fromkeys(("index", "position", "sequence", "attempt"), "int64"),
        "digest": "string",
        **dict.fromkeys(("warm", "resident"), "bool"),
        "tail_seconds": "float64",
        "unmatched_detections": "Int64",
        "largest_box_px": "float64",
        "largest_score": "float64",
        **_OF_DEVICE,
    }
    rows = []
    for one in found:
        differs = one.disagreement or {}
        spent = one.seconds or {}
        rows.append(
            {
                **{field.name: getattr(one, field.name) for field in fields(one)},
                **{f"{name}_seconds": spent.get(name) for name in SUMS},
                "unmatched_detections": differs.get("unmatched"),
                "largest_box_px": differs.get("largest_box_px"),
                "largest_score": differs.get("largest_score"),
                **_device(one.device_state),
            }
        )
    return table(rows, types)


_OF_DEVICE: Types = {
    "device_clock_mhz": "float64",
    "device_temperature_c": "float64",
    "device_memory_bytes": "Int64",
    "device_throttle": "string",
}


def _device(state: Row | None) -> dict[str, Any]:
    if state is None:
        return {}
    throttle = state.get("throttle")
    return {
        "device_clock_mhz": state.get("clock_mhz"),
        "device_temperature_c": state.get("temperature_c"),
        "device_memory_bytes": state.get("memory_bytes"),
        "device_throttle": None if throttle is None else ", ".join(throttle),
    }


def stages(found: Sequence[Sample], names: Names) -> pd.DataFrame:
    """A row a sample and stage; samples that failed, or were timed without marks, have none."""
    parts = (*DETECTING, "unattributed")
    types = {"sample": "int64", **_of_sample(names), "stage": ordered(parts), "seconds": "float64"}
    key = tuple(_of_sample(names))
    return table(
        (
            {"sample": at, **{name: getattr(one, name) for name in key}, "stage": stage, "seconds": seconds}
            for at, one in enumerate(found)
            for stage, seconds in (one.seconds or {}).items()
            if stage in parts
        ),
        types,
    )


def boxes(rows: Iterable[Row], names: Names, besides: Types) -> pd.DataFrame:
    """A row a box of COCO format; `besides` are columns that its row has as they are."""
    sides = ("x1_px", "y1_px", "x2_px", "y2_px")
    types = {"image": names.image, "class": names.label, **dict.fromkeys(sides, "float64"), **besides}
    return table(
        (
            {
                **row,
                "image": row["image_id"],
                "class": names.classes.get(row["category_id"]),
                **dict(zip(sides, (x, y, x + width, y + height), strict=True)),
            }
            for row in rows
            for x, y, width, height in (row["bbox"],)
        ),
        types,
    )


def images(truth: Row, names: Names) -> pd.DataFrame:
    """A row a test image."""
    types = {"image": names.image, "file_name": "string", "width_px": "Int64", "height_px": "Int64"}
    return table(
        (
            {
                "image": one["id"],
                "file_name": one.get("file_name"),
                "width_px": one.get("width"),
                "height_px": one.get("height"),
            }
            for one in truth["images"]
        ),
        types,
    )


def conditions(found: Sequence[Condition]) -> pd.DataFrame:
    """A row a look at the machine; of the times of the sentinel, their median."""
    shares = ("own", "others", "steal")
    types = {
        **dict.fromkeys(("process", "attempt", "sequence"), "int64"),
        "at_seconds": "float64",
        "sentinel_seconds": "float64",
        **{f"cpu_share_{name}": "float64" for name in shares},
        "cpu_mhz": "float64",
        **_OF_DEVICE,
        "foreign_processes": "Int64",
    }
    rows = []
    for one in found:
        rows.append(
            {
                **{name: getattr(one, name) for name in ("process", "attempt", "sequence", "at_seconds", "cpu_mhz")},
                "sentinel_seconds": median(one.sentinel_seconds) if one.sentinel_seconds else None,
                **{f"cpu_share_{name}": (one.cpu or {}).get(name) for name in shares},
                **_device(one.device_state),
                "foreign_processes": None if one.foreign is None else len(one.foreign),
            }
        )
    return table(rows, types)
