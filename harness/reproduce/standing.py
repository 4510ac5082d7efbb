"""A preset on its way: what its parts came to so far, and the model and report that say so on the disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os.path import relpath
from pathlib import Path
from typing import Any

from harness import reproduction
from harness.claims import Claim, read_claims
from harness.needs import needs, why_not_run
from harness.networks import is_printed_as, split
from harness.plan import Plan
from harness.presets import Options, Part, Preset, catalogue
from harness.quantities.comparability import NOT_RUN
from harness.quantities.published_anatomy import published_anatomy
from harness.rendering.reproduction import markdown
from harness.reproduce.parts import Outcome
from harness.storage import write_text

__all__ = ["Measured", "Standing"]

_RUNS = "runs"


@dataclass
class Measured:
    """What was measured for one preset already and serves the next, by kind and digest of the plan."""

    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)


@dataclass
class Standing:
    """A preset on its way, and the model of how far it has come."""

    preset: Preset
    options: Options
    out: Path
    command: str
    created: str
    measured: Measured
    claims: Sequence[Claim] = field(default_factory=read_claims)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)

    def take_up(self, part: Part, measure: Callable[[Part, Plan, Path], Outcome]) -> None:
        """Measure one part, or take what another preset measured for it."""
        why = why_not_run(part, self.options)
        if why is not None:
            self.outcomes[part.name] = Outcome(NOT_RUN, why)
            return
        plan = catalogue().plan(part, self.options)
        key = (part.kind, plan.digest)
        if key not in self.measured.outcomes:
            folder = self.out / _RUNS / part.name
            self.measured.outcomes[key] = measure(part, plan, folder)
            self.measured.folders[key] = folder
        self.outcomes[part.name] = self.measured.outcomes[key]
        self.folders[part.name] = self.measured.folders[key]

    def keep(self, status: str) -> dict[str, Any]:
        """Write the model and its report."""
        model = self._model(status)
        reproduction.write(self.out, model)
        write_text(self.out / "report.md", markdown(model))
        return model

    def _model(self, status: str) -> dict[str, Any]:
        shown = reproduction.published_in(self.preset.name, self.claims)
        told = [
            (part.name, part.kind, [one for one in self.outcomes[part.name].judged if _is_about(part, one)])
            for part in self.preset.parts
            if part.name in self.outcomes
        ]
        judged = reproduction.claims_of(shown, told, why=self._why, quick=self.options.quick)
        every = [asdict(each) for each in needs(self.preset, self.options)]
        return {
            "schema_version": reproduction.SCHEMA_VERSION,
            "preset": self.preset.name,
            "title": self.preset.title,
            "source": self.preset.source,
            "status": status,
            "created": self.created,
            "command": self.command,
            "options": self.options.model_dump(mode="json"),
            "labels": self._labels(),
            "parts": [self._part(part) for part in self.preset.parts],
            "claims": judged,
            "verdicts": reproduction.counts(judged),
            "published_alone": len(shown) - len(judged),
            "needs": every,
            "published_anatomy": published_anatomy(shown),
        }

    def _labels(self) -> dict[str, Any]:
        """What must stand beside the numbers."""
        of_kind = {
            kind: [self.outcomes[part.name] for part in self.preset.parts if part.kind == kind and self._ran(part)]
            for kind in ("speed", "count", "training", "accuracy")
        }
        devices = dict.fromkeys(one.device for each in of_kind.values() for one in each if one.device)
        images = {one.images for kind in ("speed", "accuracy") for one in of_kind[kind] if one.images is not None}
        return {
            "device": ", ".join(devices) or None,
            "counted": bool(of_kind["count"]),
            "untrained": bool(devices) and not of_kind["accuracy"],
            "data": list(dict.fromkeys(one.data for each in of_kind.values() for one in each if one.data)),
            "boxes": sorted({one.boxes for each in of_kind.values() for one in each if one.boxes is not None}),
            "extrapolated": bool(of_kind["training"]),
            "quick": self.options.quick,
            "images": min(images) if images else None,
        }

    def _ran(self, part: Part) -> bool:
        return part.name in self.outcomes and self.outcomes[part.name].status in ("ok", "partial")

    def _part(self, part: Part) -> dict[str, Any]:
        outcome = self._outcome(part)
        folder = self.folders.get(part.name)
        runs = outcome.status != NOT_RUN
        return {
            "name": part.name,
            "kind": part.kind,
            "about": part.about,
            "status": outcome.status,
            "reason": outcome.reason,
            "folder": None if folder is None else Path(relpath(folder, self.out)).as_posix(),
            "plan": catalogue().plan(part, self.options).model_dump(mode="json") if runs else None,
            "device": outcome.device,
            "images": outcome.images,
            "trust": outcome.trust,
            "counted": outcome.counted,
        }

    def _why(self, claim: Claim) -> str | None:
        """Why the part that is made for a claim did not measure it; None where there is no such part."""
        kind = reproduction.kind_for(claim.quantity)
        mine = (part for part in self.preset.parts if part.kind == kind and _is_about(part, asdict(claim)))
        found = next((one for part in mine if (one := self._outcome(part)).reason), None)
        if found is None or found.status != NOT_RUN:
            return None if found is None else found.reason
        return f"{NOT_RUN}: {found.reason}"

    def _outcome(self, part: Part) -> Outcome:
        return self.outcomes.get(part.name, Outcome(NOT_RUN, "not yet"))


def _is_about(part: Part, claim: Mapping[str, Any]) -> bool:
    """Whether a part has the method of a claim on its network, and the baseline on its own where there is one.

    What was measured on another network does not stand in the place of a number that would be about this one.
    """
    name = f"{claim['method']}:{claim['variant']}" if claim["variant"] else claim["method"]
    baseline, _, network = (claim["relative_to"] or "").partition("@")
    return _has(part, name, claim["backbone"]) and (not baseline or _has(part, baseline, network))


def _has(part: Part, name: str, printed: str) -> bool:
    stands_for = catalogue().training.stands_for
    methods = (split(each) for each in str(part.plan.get("methods", "")).split(","))
    return any(
        stands_for.get(own, own) == name and is_printed_as(network or part.backbone, printed)
        for own, network in methods
    )
