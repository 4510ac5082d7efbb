"""The forms of a run's files as JSON Schemas, draft 2020-12, for readers in any language.

They are generated from the types that this program itself reads by: `harness.forms` and `harness.record`. A file of an
earlier version keeps them, too: what it could not know yet is not required.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pydantic
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from harness.forms.manifest import Manifest
from harness.forms.models import Card
from harness.forms.records import Detection, Flops, Truth
from harness.forms.reproduction import Reproduction
from harness.forms.summary import Summary
from harness.proposals.study import Study
from harness.record import SCHEMA_VERSION, Condition, Sample

__all__ = ["FORMS", "file_name", "schema", "text"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

FORMS: dict[str, tuple[Any, str]] = {
    "manifest": (Manifest, "manifest.json of a run"),
    "sample": (Sample, "a line of samples.jsonl"),
    "condition": (Condition, "a line of conditions.jsonl"),
    "truth": (Truth, "truth.json of a run"),
    "detections": (list[Detection], "a file of the folder detections"),
    "flops": (Flops, "flops.json of a run"),
    "model": (Card, "models/METHOD.json of a run"),
    "summary": (Summary, "summary.json of a run"),
    "reproduction": (Reproduction, "reproduction.json"),
    "recall": (Study, "recall.json"),
}
"""By name: the type, and which file is of it."""

_CLOSED = frozenset({"sample", "condition"})
"""Forms without room for further keys: who reads them refuses a key that it does not know."""


class _Plain(GenerateJsonSchema):
    """Without titles that only say a key's name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def schema(name: str) -> JsonSchemaValue:
    """The JSON Schema of a form; `name` is one of `FORMS`. Not to be changed by who reads it."""
    form, about = FORMS[name]
    found = TypeAdapter(form).json_schema(schema_generator=_Plain, mode="validation")
    if name in _CLOSED:
        found["additionalProperties"] = False
    head = {
        "$schema": _DIALECT,
        "$id": f"urn:rcnn-harness:schema:{SCHEMA_VERSION}:{name}",
        "$comment": f"Made by `python -m harness.publish` with pydantic v{pydantic.VERSION}; not to be edited.",
        "title": about,
    }
    return {**head, **{key: value for key, value in found.items() if key != "title"}}


def file_name(name: str) -> str:
    """Of the published schema of a form."""
    return f"{name}.schema.json"


def text(name: str) -> str:
    """What the published file holds."""
    return json.dumps(schema(name), indent=1) + "\n"
