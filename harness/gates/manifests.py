"""Does a manifest hold what a gate reads of it?

A file that was changed by hand, or that another program wrote, is refused in a line that names the place.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from harness.forms.form import Fields, Form, first_error
from harness.forms.manifest import Compared, Manifest
from harness.plan import Plan, PlanError

__all__ = ["damage", "damage_of_run", "states_of_source"]

_STATE = ("commit", "dirty", "diff_sha256")


def damage(manifest: Any) -> str | None:
    """What is wrong with what is kept of a manifest: where and what; None where nothing is."""
    if wrong := _wrong(Compared, manifest):
        return wrong
    try:
        Plan.of(dict(manifest["plan"]))
    except PlanError as error:
        return f"plan: {error}"
    return None


def damage_of_run(manifest: Any) -> str | None:
    """The same of the whole manifest of a run."""
    return damage(manifest) or _wrong(Manifest, manifest)


def _wrong(model: type[Form], manifest: object) -> str | None:
    try:
        model.model_validate(manifest)
    except ValidationError as error:
        return first_error(error, "the manifest")
    return None


def states_of_source(manifest: Fields) -> list[str]:
    """The states of the source that measured a run, more than one where it was resumed with another; for people."""
    sources = [manifest.get("source"), *(each.get("source") for each in manifest.get("resumed") or ())]
    states = dict.fromkeys(tuple((source or {}).get(field) for field in _STATE) for source in sources)
    return [
        f"{str(commit)[:12] if commit else 'no commit'}{' and changes' if dirty else ''}" for commit, dirty, _ in states
    ]
