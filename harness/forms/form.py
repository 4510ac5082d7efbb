"""What all forms share: keys are typed, more keys may stand beside them, and null stands only beside a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue

__all__ = ["Fields", "Form", "Record", "first_error", "place_of"]

Fields = dict[str, Any]
"""An object of which a form says no more."""


class Record(BaseModel):
    """A part of a file of which there may be hundreds of thousands, so that nothing is asked beyond its types."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Form(BaseModel):
    """A part of a file, with the promise that what is null says why."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """By the key that holds a reason, the keys that may be null beside it alone."""

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        for reason, keys in type(self).null_beside.items():
            missing = [key for key in keys if getattr(self, key) is None]
            if missing and not getattr(self, reason):
                raise ValueError(f"{missing[0]} is null without a reason")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The same promise in the words of JSON Schema."""
        schema = handler(core_schema)
        if cls.null_beside:
            handler.resolve_ref_schema(schema)["allOf"] = [
                {
                    "anyOf": [
                        {"properties": {key: {"not": {"type": "null"}} for key in keys}, "required": list(keys)},
                        {"properties": {reason: {"type": "string", "minLength": 1}}, "required": [reason]},
                    ]
                }
                for reason, keys in cls.null_beside.items()
            ]
        return schema


def first_error(error: ValidationError, whole: str) -> str:
    """Where something is wrong first, and what; `whole` is the word for where it is not at one place."""
    first = error.errors(include_url=False)[0]
    return f"{place_of(first['loc']) or whole}: {first['msg'].removeprefix('Value error, ')}"


def place_of(steps: tuple[int | str, ...]) -> str:
    """Such as ``methods.spp.seconds``."""
    return ".".join(str(step) for step in steps)
