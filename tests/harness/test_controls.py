"""Controls: `shapes` can be learnt, but not from labels that mean nothing, from colour, or from random convolutions.

Run with ``pytest tests/harness/test_controls.py -m slow -s`` to see the figures. All four use the same scenes, the same
selective-search boxes and the shared policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

import detectors
from detectors.contract import SHARED_POLICY, Detections, Example
from detectors.parts.decide import decide
from detectors.parts.mining import HardNegativeMiner
from detectors.parts.regions import Regions
from detectors.parts.svm import SvmSettings, feature_scale
from harness import accuracy
from harness.datasets.shapes import CLASSES, Shapes
from harness.proposals.selective_search import SelectiveSearch

pytestmark = pytest.mark.slow

_TRAIN_SCENES, _TEST_SCENES, _ITERATIONS = 60, 60, 400
_FC_WIDTH = 256
Detect = Callable[[Example], Detections]


@dataclass(frozen=True)
class _Scenes:
    train: tuple[Example, ...]
    test: tuple[Example, ...]


def _examples(split: str, length: int) -> tuple[Example, ...]:
    dataset, search = Shapes(split, length), SelectiveSearch()
    found = []
    for index, name in enumerate(dataset.ids):
        image, truth = dataset.image(index), dataset.truth(index)
        found.append(
            Example(
                name,
                torch.from_numpy(image).permute(2, 0, 1).contiguous(),
                torch.from_numpy(truth.boxes),
                torch.from_numpy(truth.labels),
                torch.from_numpy(truth.difficult),
                torch.from_numpy(search.propose(name, image)),
            )
        )
    return tuple(found)


@pytest.fixture(scope="module")
def scenes() -> _Scenes:
    return _Scenes(_examples("train", _TRAIN_SCENES), _examples("val", _TEST_SCENES))


def _map(detect: Detect, examples: Sequence[Example]) -> float:
    """VOC 2010 mAP in points."""
    found = [detect(example) for example in examples]
    rows = np.repeat(np.arange(len(found)), [len(one.boxes) for one in found])
    truth_rows = np.repeat(np.arange(len(found)), [len(example.boxes) for example in examples])
    result = accuracy.evaluate(
        accuracy.DetectionTable(
            rows,
            torch.cat([one.boxes for one in found]).double().numpy(),
            torch.cat([one.scores for one in found]).double().numpy(),
            torch.cat([one.labels for one in found]).numpy(),
        ),
        accuracy.TruthTable(
            truth_rows,
            torch.cat([example.boxes for example in examples]).double().numpy(),
            torch.cat([example.labels for example in examples]).numpy(),
            torch.cat([example.difficult for example in examples]).numpy(),
        ),
        n_classes=len(CLASSES),
        metric="voc10",
    )
    assert result.map is not None
    return 100 * result.map


def _fast(train: Sequence[Example], weights: str, workdir: Path) -> Detect:
    """Fast R-CNN on a small budget, the same for all controls."""
    generator = torch.Generator().manual_seed(0)
    method = detectors.load("fast")
    config = replace(method.config, iterations=_ITERATIONS, fc_width=_FC_WIDTH)
    backbone = detectors.load_backbone("mini", weights, generator=generator)
    detector = method.detector(len(CLASSES), config, backbone, torch.device("cpu"))  # type: ignore[call-arg]
    detector.fit(train, generator=generator, workdir=workdir)
    return lambda example: detector.detect(example.image, example.proposals)


@pytest.fixture(scope="module")
def packaged_map(scenes: _Scenes, tmp_path_factory: pytest.TempPathFactory) -> float:
    """What the method reaches with everything in order."""
    return _map(_fast(scenes.train, "auto", tmp_path_factory.mktemp("packaged")), scenes.test)


def test_shuffled_labels_bring_accuracy_to_chance(scenes: _Scenes, packaged_map: float, tmp_path: Path) -> None:
    """A detector that is taught labels without meaning finds no class, so no truth leaks into testing."""
    counts = [len(example.labels) for example in scenes.train]
    labels = torch.cat([example.labels for example in scenes.train])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]
    shuffled = [replace(one, labels=part) for one, part in zip(scenes.train, torch.split(labels, counts), strict=True)]
    found = _map(_fast(shuffled, "auto", tmp_path), scenes.test)
    print(f"shuffled labels: {found:.1f} mAP, true labels: {packaged_map:.1f}")  # noqa: T201
    # Finding every object and guessing its class among 8 gives about 12; luck on 60 scenes a few points more.
    assert found < 20
    assert packaged_map > found + 15


def test_a_random_backbone_is_clearly_below_the_packaged_one(
    scenes: _Scenes, packaged_map: float, tmp_path: Path
) -> None:
    """Pretraining is worth at least 10 points of mAP on the same small budget."""
    found = _map(_fast(scenes.train, "random", tmp_path), scenes.test)
    print(f"random mini: {found:.1f} mAP, packaged mini: {packaged_map:.1f}")  # noqa: T201
    assert packaged_map >= found + 10


_BINS = 4


def _histograms(image: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Share of each of 4 x 4 x 4 colours in each box, (N, 64), by summed-area tables."""
    height, width = image.shape[1:]
    red, green, blue = image.long() * _BINS // 256
    colour = torch.nn.functional.one_hot((red * _BINS + green) * _BINS + blue, _BINS**3).double()
    sums = torch.zeros(height + 1, width + 1, _BINS**3, dtype=torch.float64)
    sums[1:, 1:] = colour.cumsum(0).cumsum(1)
    x1, y1 = boxes[:, :2].floor().long().unbind(1)
    x2, y2 = boxes[:, 2:].ceil().long().unbind(1)
    inside = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    # The square root makes the linear kernel Hellinger's, the usual choice for histograms.
    return (inside / inside.sum(1, keepdim=True).clamp(min=1)).sqrt().float()


def _colour_svm(train: Sequence[Example]) -> Detect:
    """R-CNN's SVMs with the same mining and the same boxes, on colour alone."""
    n_classes, settings = len(CLASSES), SvmSettings()
    regions = [Regions.of(example, n_classes) for example in train]
    described = [_histograms(one.image, part.boxes) for one, part in zip(train, regions, strict=True)]
    factor = feature_scale(torch.cat(described), settings.feature_norm)
    truth = torch.cat([part[: len(one.boxes)] for part, one in zip(described, train, strict=True)]) * factor
    labels = torch.cat([one.labels for one in train])
    positives = [truth[labels == k + 1] for k in range(n_classes)]
    miner = HardNegativeMiner(positives, settings.for_images(len(train)))
    for part, region in zip(described, regions, strict=True):
        miner.add_image(part * factor, region.class_iou)
    classifiers = miner.finish()

    def detect(example: Example) -> Detections:
        features = _histograms(example.image, example.proposals) * factor
        return decide(example.proposals, features @ classifiers.weight.T + classifiers.bias, SHARED_POLICY)

    return detect


def test_histograms_count_the_pixels_of_a_box(scenes: _Scenes) -> None:
    """The control is what it says: colour shares of a box as counted pixel by pixel."""
    example = scenes.test[0]
    box = example.proposals[:1]
    x1, y1, x2, y2 = (int(value) for value in box[0])
    pixels: npt.NDArray[np.uint8] = example.image[:, y1:y2, x1:x2].reshape(3, -1).T.numpy()
    expected, _ = np.histogramdd(pixels, bins=(_BINS,) * 3, range=[(0, 256)] * 3)
    share = _histograms(example.image, box)[0].square().double().numpy()
    np.testing.assert_allclose(share, expected.ravel() / len(pixels), atol=1e-6)


def test_a_colour_histogram_svm_stays_below_30(scenes: _Scenes, packaged_map: float) -> None:
    """Colour does not tell the classes apart: R-CNN's SVMs on colour histograms of the same boxes fail."""
    found = _map(_colour_svm(scenes.train), scenes.test)
    print(f"colour histograms: {found:.1f} mAP, Fast R-CNN: {packaged_map:.1f}")  # noqa: T201
    assert found < 30
    assert packaged_map > found
