"""How long evaluation takes at the size of VOC 2007 test: 4,952 images, 20 classes, 200,000 detections."""

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from harness.accuracy import DetectionTable, TruthTable, evaluate

N_IMAGES, N_CLASSES, N_OBJECTS, N_DETECTIONS = 4_952, 20, 15_000, 200_000


def scene(generator: np.random.Generator) -> tuple[DetectionTable, TruthTable]:
    """Half of the detections lie near an object, the rest anywhere; scores have few digits, so there are ties."""

    def boxes(count: int) -> np.ndarray:
        corner = generator.uniform(0, 350, (count, 2))
        return np.concatenate([corner, corner + generator.uniform(10, 150, (count, 2))], axis=1)

    truth = TruthTable(
        image=generator.integers(0, N_IMAGES, N_OBJECTS),
        boxes=boxes(N_OBJECTS),
        labels=generator.integers(1, N_CLASSES + 1, N_OBJECTS),
        difficult=generator.random(N_OBJECTS) < 0.2,
    )
    near = generator.integers(0, N_OBJECTS, N_DETECTIONS // 2)
    rest = N_DETECTIONS - len(near)
    detections = DetectionTable(
        image=np.concatenate([truth.image[near], generator.integers(0, N_IMAGES, rest)]),
        boxes=np.concatenate([truth.boxes[near] + generator.uniform(-5, 5, (len(near), 4)), boxes(rest)]),
        scores=generator.random(N_DETECTIONS).round(4),
        labels=np.concatenate([truth.labels[near], generator.integers(1, N_CLASSES + 1, rest)]),
    )
    return detections, truth


def test_evaluate_200k_detections(benchmark: BenchmarkFixture) -> None:
    """Evaluation of a whole test set stays a matter of a second, beside minutes or hours of detecting."""
    detections, truth = scene(np.random.default_rng(0))
    accuracy = benchmark(evaluate, detections, truth, n_classes=N_CLASSES)
    assert accuracy.map is not None
    assert 0 < accuracy.map < 1
