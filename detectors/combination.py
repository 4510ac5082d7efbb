"""The combination of two or more detectors: each scores all proposals, and suppression sees them together.

Every member scores the same windows; non-maximum suppression then runs over the union of what they say [SPP Table 12].
A box that one member scores higher so suppresses the same one of the other.

Letters: P proposals, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from detectors.contract import (
    SHARED_POLICY,
    Detections,
    Detector,
    Example,
    Policy,
    SettingsError,
    Stage,
    detect_only,
    stage,
)
from detectors.parts.backbones import Backbone
from detectors.parts.decide import decide
from detectors.parts.modelfile import ModelFileError

__all__ = ["Combination", "CombinationConfig", "Member"]


class Member(Detector, Protocol):
    """A detector that can be combined: it says what it makes of every proposal before any is suppressed."""

    @property
    def score_kind(self) -> str:
        """What its scores are, ``svm`` or ``softmax``: only like ones can be compared."""

    def score(self, image: torch.Tensor, proposals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (P, K, 4) px and scores (P, K) on the device, all stages up to DECODE. Both given may be there."""


@dataclass(frozen=True, slots=True)
class CombinationConfig:
    """Which detectors, each with its settings. The policy is that of the whole; the members' own are not used."""

    detectors: tuple[type[Any], ...]
    members: tuple[Any, ...]
    """A ``Config`` of each."""
    policy: Policy = detect_only(SHARED_POLICY)

    @property
    def iterations(self) -> int:
        """Mini-batches of all members together."""
        return sum(member.iterations for member in self.members)


class Combination:
    """The detector. It does not exist without members, so it is no method of its own: ``spp+rcnn`` names one."""

    paper: ClassVar[str] = "SPP"
    needs_proposals: ClassVar[bool] = True
    quick_per_image: ClassVar[int] = 1
    """Not used: in a quick comparison every member keeps to its own."""
    Config: ClassVar[type[CombinationConfig]] = CombinationConfig
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    paper_policy: ClassVar[Policy] = Policy(
        min_score=-1.5, per_class_before=None, iou=0.3, per_class_after=100, per_image=None
    )
    """SPP-net's own [SPP spp_test.m], since the paper combines two SPP-nets."""

    def __init__(self, n_classes: int, config: CombinationConfig, backbone: Backbone, device: torch.device) -> None:
        """Make the members.

        Raises:
            SettingsError: there are fewer than two, one cannot be combined or cannot be made, or their scores are of
                different kinds.
        """
        if len(config.detectors) < 2 or len(config.detectors) != len(config.members):
            raise SettingsError(
                f"members of a combination: expected two detectors or more and settings for each; "
                f"got {len(config.detectors)} detectors and {len(config.members)} settings"
            )
        for detector in config.detectors:
            if not hasattr(detector, "score") or not hasattr(detector, "score_kind"):
                raise SettingsError(
                    f"{detector.__name__} cannot be combined: it does not say its scores before suppression"
                )
        self.config, self._device = config, device
        self.members: tuple[Member, ...] = tuple(
            detector(n_classes, settings, backbone, device)
            for detector, settings in zip(config.detectors, config.members, strict=True)
        )
        kinds = [member.score_kind for member in self.members]
        if len(set(kinds)) > 1:
            of_each = ", ".join(f"{type(one).__name__} {kind}" for one, kind in zip(self.members, kinds, strict=True))
            raise SettingsError(
                f"scores of a combination: expected one kind, got {of_each}, which do not compare; "
                "rcnn and spp go with fast:svm, rcnn:softmax goes with fast"
            )

    @property
    def score_kind(self) -> str:
        """That of all members."""
        return self.members[0].score_kind

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What of the members' settings their networks decide."""
        return {"members": [dict(getattr(member, "resolved", {})) for member in self.members]}

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Fit one member after the other, each with randomness and a folder of its own.

        Raises:
            FitError: the examples hold no object.
        """
        for index, (member, own) in enumerate(zip(self.members, self._generators(generator), strict=True)):
            member.fit(examples, generator=own, workdir=workdir / str(index))

    def initialise(self, *, generator: torch.Generator) -> None:
        """Draw at random what each member would learn."""
        for member, own in zip(self.members, self._generators(generator), strict=True):
            member.initialise(generator=own)

    def _generators(self, generator: torch.Generator) -> Iterator[torch.Generator]:
        # All drawn before the first is used: a member that resumes its fit takes fewer draws than one that does not.
        seeds = torch.randint(2**62, (len(self.members),), generator=generator).tolist()
        return (torch.Generator().manual_seed(seed) for seed in seeds)

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """Score with each member, then suppress the union [SPP Table 12]."""
        if len(proposals) == 0 and all(member.needs_proposals for member in self.members):
            return Detections.none()
        boxes, scores = self.score(image, proposals)
        with stage(Stage.SUPPRESS):
            return decide(boxes, scores, self.config.policy)

    def score(self, image: torch.Tensor, proposals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes and scores of the first member, then those of the next: (2 P, K, 4) and (2 P, K) for two."""
        with stage(Stage.PREPARE):
            # Once for all, since for a copy to a device that is at work the host may have to wait.
            image = image.to(self._device, non_blocking=True)
            proposals = proposals.to(self._device, non_blocking=True)
        boxes, scores = zip(*(member.score(image, proposals) for member in self.members), strict=True)
        with stage(Stage.DECODE), torch.inference_mode():
            return torch.cat(boxes), torch.cat(scores)

    def save(self, path: Path) -> None:
        """Write what the members learnt to one safetensors file, the tensors of the first under ``0.`` and so on."""
        tensors: dict[str, torch.Tensor] = {}
        with TemporaryDirectory() as folder:
            for index, member in enumerate(self.members):
                own = Path(folder) / str(index)
                member.save(own)
                tensors |= {f"{index}.{key}": value for key, value in load_file(own).items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, path)

    def restore(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            ModelFileError: no such file, or one of another make.
        """
        if not path.is_file():
            raise ModelFileError(f"no fitted model at {path}")
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise ModelFileError(f"{path} does not hold this model: {str(error).splitlines()[0]}") from None
        found = {key.partition(".")[0] for key in tensors}
        if found != {str(index) for index in range(len(self.members))}:
            raise ModelFileError(f"{path} does not hold this model: expected a combination of {len(self.members)}")
        with TemporaryDirectory() as folder:
            for index, member in enumerate(self.members):
                prefix, own = f"{index}.", Path(folder) / str(index)
                save_file({key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}, own)
                try:
                    member.restore(own)
                except ModelFileError as error:
                    raise ModelFileError(str(error).replace(str(own), f"{path}, member {index},")) from None
