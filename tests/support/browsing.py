"""A Chromium for the tests of pages, and pages of planted runs."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["CLASS", "HOSTILE", "Page", "chromium", "hostile", "missing_for_a_browser", "planted_page"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")

CLASS = "<script>window.hacked = 1</script>"
HOSTILE = (
    '</script><!--<img src="http://192.0.2.1/x.png" onerror="window.hacked = 2"> ![x](http://192.0.2.1/y.png) [a](b)'
)
"""192.0.2.1 is an address of nobody [RFC 5737]."""


def chromium() -> str | None:
    """The browser that the variable ``CHROMIUM`` names, else the first on PATH; Debian's is ``/usr/bin/chromium``."""
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


def missing_for_a_browser() -> str | None:
    """What tests with a browser lack here, in words; None where there is all."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed (dependency group browser)"
    found = chromium()
    if found is None:
        return f"there is no {', '.join(_NAMES)} on PATH; name one by CHROMIUM"
    return None if Path(found).exists() else f"CHROMIUM names {found}, which is not there"


class Page:
    """A page and what went into it."""

    def __init__(self, summary: dict[str, Any], manifest: dict[str, Any], figures: dict[str, str]) -> None:
        from harness.claims import read_claims
        from harness.webpage import webpage

        self.summary, self.manifest, self.figures = summary, manifest, figures
        self.html = webpage(summary, manifest, read_claims(), figures)


@cache
def planted_page(folder: Path) -> Page:
    """That of a made-up run, planted in `folder`."""
    from gated import plant
    from harness.figures import svgs
    from harness.runs import RunFolder

    run = RunFolder(plant(folder))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return Page(summary, run.read_manifest(), svgs(summary, run))


def hostile(page: Page) -> Page:
    """The same with names that try to break out wherever a user can name something."""
    from harness.figures import svgs

    summary = copy.deepcopy(page.summary)
    summary["command"] = f"harness compare --out '{HOSTILE}'"
    summary["dataset"]["classes"] = [CLASS, HOSTILE]
    summary["dataset"]["name"] = summary["plan"]["dataset"] = HOSTILE
    summary["machine"]["cpu"] = HOSTILE
    summary["trust"] = {
        "verdict": "inconclusive",
        "reasons": [HOSTILE],
        "findings": [{"name": HOSTILE, "verdict": "inconclusive", "text": HOSTILE}],
    }
    for result in summary["methods"].values():
        result["ap"] = {CLASS: 0.25, HOSTILE: 0.75}
    name = CLASS.replace("@", "")
    summary["methods"][name] = {"status": "error", "reason": HOSTILE, "paper": None}
    summary["plan"]["methods"] = [*summary["plan"]["methods"], name]
    summary["notices"] = [{"method": name, "image": HOSTILE, "text": HOSTILE}]
    return Page(summary, {**page.manifest, "argv": [HOSTILE]}, svgs(summary))
