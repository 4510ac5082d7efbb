"""Data within a page: JSON that a program finds in it, and a person can save without a request.

A few lines of script turn an element that holds a document into a file to be saved. A second copy of it in a ``data:``
address would need none, and would make the page half as large again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

__all__ = ["Document", "embedded", "fingerprint"]


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON document in both forms."""

    name: str
    """Of the file, such as ``summary.json``."""
    key: str
    """Identifier of the element that holds it."""
    text: Markup
    """The document, for the inside of a ``<script type="application/json">``."""


def embedded(name: str, content: Mapping[str, Any]) -> Document:
    """`content` is JSON already: no NaN, and keys are strings."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Within a script no sign is special but the < of </script and <!--, and JSON has it in texts alone.
    inside = Markup(text.replace("<", "\\u003c"))
    return Document(name, name.replace(".", "-"), inside)


def fingerprint(script: str) -> str:
    """By which a content security policy lets a script run that is within the page [CSP3 8.3]."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
