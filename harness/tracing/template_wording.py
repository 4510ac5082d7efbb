"""Numbers that are part of the wording of reports and not of what was measured, each with the words beside it.

Whoever writes a sentence with such a number into a report lists it here; a test says when none has it any more.
"""

from __future__ import annotations

import re

__all__ = ["TEMPLATE_WORDING"]

TEMPLATE_WORDING = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b95 % interval",
        r"\b95 of 100 hold\b",
        r"\b10\^\d+\b",
        r"\bIoU 0\.[57]\b",
        r"\(11 points\)",
        r"\beach 100 proposals more",
        r"\ba ratio of 1 says\b",
        r"\bbelow 1 the method\b",
        r"^100 % is what\b",
        r"\b100 % of the (copy|product)\b",
        r"^< 0\.1$",
    )
)
"""As they stand in a line of a report, once its markup is gone."""
