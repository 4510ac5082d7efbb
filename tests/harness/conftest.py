"""Plans that are carried out in a second: few scenes, boxes from a file, narrow heads; and runs that never were."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import detectors
from detectors.contract import (
    SHARED_POLICY,
    Detections,
    Example,
    Policy,
    SettingsError,
    Stage,
    detect_only,
    notice,
    stage,
)
from gated import Change, plant
from harness.datasets.shapes import Shapes
from harness.gate import gate
from harness.plan import Plan
from harness.progress import Reporter
from verdicts import Planted

TRAIN, TEST = 4, 3


@pytest.fixture(scope="session")
def boxes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each object of the first scenes moved a little four times, among 24 boxes of any place and size."""
    rng = np.random.default_rng(7)
    found = {}
    for split, length in (("train", TRAIN), ("test", TEST)):
        scenes = Shapes(split, length)
        for index, name in enumerate(scenes.ids):
            height, width = scenes.image(index).shape[:2]
            near = scenes.truth(index).boxes[:, None] + rng.uniform(-8, 8, (1, 4, 4))
            low = rng.uniform(0, 0.8, (24, 2)) * (width, height)
            anywhere = np.concatenate([low, low + rng.uniform(16, 120, (24, 2))], axis=1)
            every = np.concatenate([near.reshape(-1, 4), anywhere]).clip(0, (width, height, width, height)).round()
            every = every[((every[:, 2:] - every[:, :2]) >= 8).all(axis=1)]
            found[name] = rng.permutation(every).astype(np.float32)
    path = tmp_path_factory.mktemp("boxes") / "boxes.npz"
    np.savez(path, **found)
    return path


@pytest.fixture(scope="session")
def small_plan(boxes_file: Path) -> Callable[..., Plan]:
    """A plan of a second; `changes` are laid over it."""

    def make(**changes: Any) -> Plan:
        values: dict[str, Any] = {
            "proposals": str(boxes_file),
            "images": TEST,
            "train_images": TRAIN,
            "iterations": 3,
            "fc_width": 16,
            "device": "cpu",
        }
        return Plan.of(values | changes)

    return make


@pytest.fixture(scope="module")
def no_pictures() -> Iterator[None]:
    """Drawing takes longer than a run of a second; `test_cli` looks at the figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.figures.draw", lambda *_: [])
        patch.setattr("harness.figures.svgs", lambda *_: {})
        yield


@pytest.fixture
def silent() -> Reporter:
    """Shows nothing."""
    return Reporter(quiet=True)


@dataclass(frozen=True)
class FakeConfig:
    """Settings of `Fake`."""

    iterations: int = 40
    policy: Policy = detect_only(SHARED_POLICY)
    fc_width: int | None = None
    width: int = 4
    rank: int | None = detect_only(None)
    chunk: int | None = detect_only(None)
    bf16: bool = detect_only(False)


class Fake:
    """A detector of a millisecond: one linear layer on the corners of each box, drawn when it is fitted."""

    paper = "FAKE"
    needs_proposals = True
    quick_per_image = 1
    Config: ClassVar[type[Any]] = FakeConfig
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "low": {"rank": 1},
        "wide": {"width": 8},
        "never": {"rank": 0},
    }
    paper_policy = Policy(per_image=None)
    log: ClassVar[list[str]]
    """Calls of all fakes of a test."""
    stop_at: ClassVar[int | None]
    """Step of the next fit that is interrupted."""

    def __init__(self, n_classes: int, config: FakeConfig, backbone: object, device: torch.device) -> None:
        if config.rank == 0:
            raise SettingsError("a rank of 0 leaves nothing; give at least 1")
        self.n_classes, self.config, self.device = n_classes, config, device
        self.chunk = config.chunk
        self.weight = torch.zeros(0)

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Four steps with a checkpoint after each."""
        self.weight = torch.rand(self.config.width, 4, generator=generator)
        kept = workdir / "step"
        first = int(kept.read_text()) if kept.exists() else 0
        self.log.append(f"fit from {first}")
        with stage(Stage.FINETUNE):
            for step in range(first, 4):
                if step == type(self).stop_at:
                    type(self).stop_at = None
                    raise KeyboardInterrupt
                kept.write_text(str(step + 1))
            notice("few objects")

    def initialise(self, *, generator: torch.Generator) -> None:
        """One draw."""
        self.log.append("initialise")
        self.weight = torch.rand(self.config.width, 4, generator=generator)

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """Each box is an object of class 1."""
        with stage(Stage.FC):
            scores = (proposals.to(self.device) @ self.weight.T[:, : self.config.rank]).sum(dim=1)
        with stage(Stage.SUPPRESS):
            if self.chunk is None:
                self.chunk = 64
                notice("chunk set")
            scores, order = scores.sort(descending=True, stable=True)
            return Detections(
                proposals[order][:100], scores[:100], torch.ones(min(len(scores), 100), dtype=torch.int64)
            )

    def save(self, path: Path) -> None:
        """The weight alone."""
        save_file({"weight": self.weight}, path)

    def restore(self, path: Path) -> None:
        """And back."""
        self.log.append(f"restore {path.stem}")
        self.weight = load_file(path)["weight"]


@dataclass(frozen=True)
class PairConfig:
    """Settings of `Pair`."""

    detectors: tuple[type[Any], ...]
    members: tuple[Any, ...]
    policy: Policy = SHARED_POLICY
    iterations: int = 0


class Pair(Fake):
    """Two fakes as one method; only its settings matter."""

    Config = PairConfig

    def __init__(self, n_classes: int, config: PairConfig, backbone: object, device: torch.device) -> None:
        super().__init__(n_classes, config.members[0], backbone, device)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    """Method names that begin with ``fake`` are of this class; ``other`` is another of the same kind."""
    own = type("Own", (Fake,), {"log": [], "stop_at": None})
    other = type("Other", (Fake,), {"log": [], "stop_at": None})
    original = detectors.load

    def load(name: str) -> detectors.Method:
        if "+" in name:
            members = tuple(load(part) for part in name.split("+"))
            config = PairConfig(tuple(one.detector for one in members), tuple(one.config for one in members))
            pair: Any = type("OwnPair", (Pair,), {"log": [], "stop_at": None})
            return detectors.Method(name, pair, config, members)
        base, *variants = name.split(":")
        found = {"fake": own, "other": other}.get(base)
        if found is None:
            return original(name)
        changes: dict[str, Any] = {}
        for variant in variants:
            changes |= found.variants[variant]
        return detectors.Method(name, found, FakeConfig(**changes))

    monkeypatch.setattr(detectors, "load", load)
    monkeypatch.setattr(detectors, "origin", lambda name: f"of-{name.partition(':')[0]} 1.0")
    return own


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A made-up run by its seed and change, not to be changed; each is made once."""
    kept: dict[str, Path] = {}

    def make(seed: int = 2, **change: Any) -> Path:
        key = repr((seed, change))
        if key not in kept:
            kept[key] = plant(tmp_path_factory.mktemp("runs") / f"run-{len(kept)}", seed, Change(**change))
        return kept[key]

    return make


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Path:
    path = tmp_path_factory.mktemp("baseline") / "baseline.json"
    assert gate(planted(1), path).baseline == "made"
    return path


@pytest.fixture
def kept(tmp_path: Path, _made: Path) -> Path:
    """A baseline that was made of the planted run of seed 1; a copy, to be changed."""
    return Path(shutil.copy(_made, tmp_path))
