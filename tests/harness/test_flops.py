"""Counts of operations, bytes and launches by stage: hand arithmetic, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from detectors.contract import Detections, Detector, Stage, notice, stage
from harness.flops import Asked, ImageShape, count, count_image
from harness.plan import Plan


class Pipeline:
    """Every stage with arithmetic that can be done by hand."""

    def __init__(self) -> None:
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 5, 2, 2))
        self.fc = nn.Linear(16 * 4, 10)
        self.svm = torch.rand(10, 7)
        self.seen: list[torch.Tensor] = []

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        if len(proposals) == 0:
            return Detections.none()
        with stage(Stage.PREPARE):
            offset = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
            pixels = (image.to(torch.float32) - offset)[None]
            resized = functional.interpolate(pixels, size=(20, 30), mode="bilinear")
        with stage(Stage.CONV):
            maps = self.conv(resized.contiguous(memory_format=torch.channels_last))
        with stage(Stage.POOL):
            pooled = functional.adaptive_max_pool2d(maps, 2).flatten(1).expand(len(proposals), -1)
        with stage(Stage.FC):
            features = torch.relu(self.fc(pooled))
        with stage(Stage.DECODE):
            scores = torch.addmm(torch.zeros(7), features, self.svm)
        scores = scores @ torch.ones(7)
        with stage(Stage.SUPPRESS):
            self.seen.append(scores)
            raise AssertionError("a count ends here")

    inferring = torch.inference_mode()(detect)


def of(detect: Callable[..., Any]) -> Detector:
    """A detector that only detects."""
    return cast(Detector, type("Only", (), {"detect": staticmethod(detect)})())


EXPECTED = {
    "prepare": 8 * 3 * 20 * 30,  # four multiply-adds for each of 3 x 20 x 30 values
    "propose": 0,
    # 3x3x3 multiply-adds for each of 8 x 20 x 30 outputs; after pooling 10 x 15, stride 2 leaves 5 x 8 of 16 channels.
    "conv": 2 * (27 * 8 * 20 * 30 + 5 * 5 * 8 * 16 * 5 * 8),
    "pool": 0,
    "fc": 2 * 9 * 64 * 10,
    "decode": 2 * 9 * 10 * 7,
}

# A float32 has 4 bytes, an int64 8. Each line: what is read, then what is written.
BYTES = {
    "prepare": 3 * 41 * 60 * (1 + 4)  # to float32
    + 4 * (3 * 41 * 60 + 3) + 4 * 3 * 41 * 60  # less its offset
    + 4 * 3 * 41 * 60 + 4 * 3 * 20 * 30,  # resized
    "propose": 0,
    "conv": 4 * 3 * 20 * 30 * 2  # into another order in memory
    + 4 * (3 * 20 * 30 + 8 * 27 + 8) + 4 * 8 * 20 * 30  # convolution
    + 4 * 8 * 20 * 30 * 2  # ReLU
    + 4 * 8 * 20 * 30 + (4 + 8) * 8 * 10 * 15  # maxima and their places
    + 4 * (8 * 10 * 15 + 16 * 8 * 25 + 16) + 4 * 16 * 5 * 8,
    "pool": 4 * 16 * 5 * 8 + (4 + 8) * 16 * 2 * 2  # maxima and their places
    + 4 * 16 * 2 * 2 * 2,  # channel by channel
    "fc": 4 * (10 + 64 + 64 * 10) + 4 * 9 * 10  # all boxes have the one vector
    + 4 * 9 * 10 * 2,
    "decode": 4 * 7  # zeros
    + 4 * (7 + 9 * 10 + 10 * 7) + 4 * 9 * 7,
}  # fmt: skip
LAUNCHES = {"prepare": 3, "propose": 0, "conv": 5, "pool": 2, "fc": 2, "decode": 2}


@pytest.mark.parametrize("name", ["detect", "inferring"])
def test_each_stage_asks_what_hand_arithmetic_says(name: str) -> None:
    """With 9 boxes; what lies outside the stages is in the total alone, and nothing after SUPPRESS is run."""
    pipeline = Pipeline()
    found = count_image(of(getattr(pipeline, name)), ImageShape(41, 60, 9))
    assert found.operations == {**EXPECTED, "total": sum(EXPECTED.values()) + 2 * 9 * 7}
    ones, product = 4 * 7, 4 * (9 * 7 + 7) + 4 * 9
    assert found.bytes == {**BYTES, "total": sum(BYTES.values()) + ones + product}
    assert found.launches == {**LAUNCHES, "total": sum(LAUNCHES.values()) + 2}
    assert pipeline.seen == []


def test_no_boxes_no_operations() -> None:
    """A detector that returns at once has done nothing."""
    for kind in count_image(of(Pipeline().detect), ImageShape(41, 60, 0)):
        assert set(kind.values()) == {0}


@given(st.integers(1, 500))
def test_operations_on_boxes_are_linear_in_their_number(boxes: int) -> None:
    """Those on the image do not depend on it, and launches of a batch do not, either."""
    found = count_image(of(Pipeline().detect), ImageShape(33, 47, boxes))
    assert (found.operations["conv"], found.operations["fc"]) == (EXPECTED["conv"], boxes * 2 * 64 * 10)
    assert found.bytes["fc"] - BYTES["fc"] == 3 * 4 * (boxes - 9) * 10
    assert {name: found.launches[name] for name in LAUNCHES} == LAUNCHES


def test_weights_and_detector_are_left_as_they_were() -> None:
    """Counting touches no value."""
    pipeline = Pipeline()
    before = [parameter.clone() for parameter in pipeline.conv.parameters()]
    count_image(of(pipeline.inferring), ImageShape(30, 40, 5))
    assert all(torch.equal(a, b) for a, b in zip(before, pipeline.conv.parameters(), strict=True))
    assert not any(parameter.is_meta for parameter in pipeline.conv.parameters())


@pytest.mark.parametrize("name", ["rcnn", "spp", "fast"])
def test_weights_that_must_be_turned_first_are_turned_and_not_counted(name: str) -> None:
    """As where TF32 is allowed after a strict fit: what a detection asks is the same before and after, and it works."""
    import detectors

    method = detectors.load(name)
    backbone = detectors.load_backbone("mini", "random", generator=torch.Generator().manual_seed(0))
    make: Any = method.detector
    detector = make(5, method.config, backbone, torch.device("cpu"))
    detector.initialise(generator=torch.Generator().manual_seed(0))
    image = torch.randint(256, (3, 90, 120), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[5.0, 5.0, 80.0, 70.0], [20.0, 10.0, 110.0, 85.0]])
    expected = detector.detect(image, boxes)
    network = detector.detecting
    network.to(memory_format=torch.contiguous_format)
    first, again = (count_image(detector, ImageShape(90, 120, 2)) for _ in range(2))
    assert first == again
    assert {each.device.type for each in network.parameters()} == {"cpu"}
    found = detector.detect(image, boxes)
    torch.testing.assert_close(found.boxes, expected.boxes)
    torch.testing.assert_close(found.scores, expected.scores)


NETWORKS: dict[str, Callable[[torch.Tensor], object]] = {
    "grouped": nn.Conv2d(8, 16, 3, groups=2),
    "strided": nn.Conv2d(8, 4, 5, stride=3, dilation=2),
    "transposed": nn.ConvTranspose2d(8, 4, 3),
    "matmul": lambda x: x.flatten(1) @ x.flatten(1).T,
    "batched": lambda x: torch.bmm(x[0], x[0].transpose(1, 2)),
    "einsum": lambda x: torch.einsum("bchw,dc->bdhw", x, torch.ones(5, 8)),
    "bfloat16": lambda x: nn.Linear(20, 30).bfloat16()(x.bfloat16()),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("inferring", [True, False])
def test_counts_are_torchs_own(name: str, inferring: bool) -> None:
    """Of real tensors, under its FlopCounterMode."""
    network = NETWORKS[name]
    with FlopCounterMode(display=False) as expected, torch.inference_mode(inferring):
        network(torch.ones(2, 8, 20, 20))

    def detect(image: torch.Tensor, _: torch.Tensor) -> None:
        with torch.inference_mode(inferring):
            network(image.new_ones(2, 8, 20, 20, dtype=torch.float32))

    assert count_image(of(detect), ImageShape(20, 20, 1)).operations["total"] == expected.get_total_flops() > 0


@pytest.mark.parametrize("inferring", [True, False])
def test_attention_is_two_products(inferring: bool) -> None:
    """Of 2 x 8 pairs of 20 x 20 matrices each; torch 2.11's own counter finds none of them."""

    def detect(image: torch.Tensor, boxes: torch.Tensor) -> None:
        x = image.new_ones(2, 8, 20, 20, dtype=torch.float32)
        with torch.inference_mode(inferring):
            functional.scaled_dot_product_attention(x, x, x)

    assert count_image(of(detect), ImageShape(20, 20, 1)).operations["total"] == 2 * (2 * 8) * (2 * 20**3)


SAMPLING: dict[str, tuple[Callable[[torch.Tensor], object], int]] = {
    "crops": (lambda x: functional.grid_sample(x, torch.zeros(2, 5, 7, 2), align_corners=True), 8 * 2 * 3 * 5 * 7),
    "nearest": (lambda x: functional.grid_sample(x, torch.zeros(2, 5, 7, 2), "nearest", align_corners=True), 0),
    "by a factor": (lambda x: functional.interpolate(x, scale_factor=1.5, mode="bilinear"), 8 * 2 * 3 * 12 * 13),
    "vector": (lambda x: x[0, 0] @ torch.ones(9), 2 * 8 * 9),
    "dot": (lambda x: x[0, 0, 0] @ torch.ones(9), 2 * 9),
    "shifted": (lambda x: torch.addmv(torch.ones(8), x[0, 0], torch.ones(9)), 2 * 8 * 9),
}


@pytest.mark.parametrize("name", SAMPLING)
def test_sampling_and_vectors_are_counted(name: str) -> None:
    """A bilinear value is four multiply-adds, and shapes are those of the real operators."""
    network, expected = SAMPLING[name]
    shape: list[torch.Size] = []

    def detect(image: torch.Tensor, _: torch.Tensor) -> None:
        result = network(image.new_ones(2, 3, 8, 9, dtype=torch.float32))
        assert isinstance(result, torch.Tensor)
        shape.append(result.shape)

    assert count_image(of(detect), ImageShape(8, 9, 1)).operations["total"] == expected
    real = network(torch.ones(2, 3, 8, 9))
    assert isinstance(real, torch.Tensor)
    assert shape == [real.shape]


def test_a_detector_that_needs_values_has_no_count_but_a_reason() -> None:
    """A plug-in may read back what it computed; it is measured all the same."""

    def detect(image: torch.Tensor, _: torch.Tensor) -> None:
        notice("not heard")
        image.float().mean().item()

    found = count(of(detect), {"a": ImageShape(8, 8, 3)})
    assert found["images"] == found["bytes"] == found["launches"] == {}
    assert found["reason"].startswith("it does not run on shapes alone: ")
    assert "\n" not in found["reason"]


def test_images_of_one_shape_are_counted_once() -> None:
    """And each stands under its name, as what `count_image` says of it."""
    calls: list[int] = []

    def detect(image: torch.Tensor, boxes: torch.Tensor) -> None:
        calls.append(len(boxes))
        image.float().flatten(1) @ torch.ones(image.shape[1] * image.shape[2], len(boxes))

    shapes = {"a": ImageShape(8, 9, 3), "b": ImageShape(9, 8, 4), "c": ImageShape(8, 9, 3)}
    found = count(of(detect), shapes)
    assert calls == [3, 4]
    for name, shape in shapes.items():
        alone = count_image(of(detect), shape)
        assert Asked(found["images"][name], found["bytes"][name], found["launches"][name]) == alone
    assert {name: each["total"] for name, each in found["images"].items()} == {
        "a": 2 * 3 * 72 * 3,
        "b": 2 * 3 * 72 * 4,
        "c": 2 * 3 * 72 * 3,
    }


# In a run


def test_a_run_takes_its_speed_ups_apart(
    small_plan: Callable[..., Plan], fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Means per image, and the speed-up is the ratio of operations times that of utilisation."""
    from harness.compare import compare
    from harness.progress import Reporter
    from harness.runs import RunFolder
    from harness.summary import summarise

    monkeypatch.setattr("harness.figures.draw", lambda *_: [])
    plan = small_plan(methods="fake:wide,fake,fake:low", fc_width=None)
    arguments: dict[str, Any] = {"overwrite": False, "command": "harness", "here": True}
    arguments["reporter"] = Reporter(quiet=True)
    summary = compare(plan, tmp_path / "run", resume=False, **arguments)
    boxes = summary["dataset"]["proposals_per_image"]["mean"]
    flops = {name: about["flops"] for name, about in summary["methods"].items()}
    per_box = {"fake:wide": 2 * 4 * 8, "fake": 2 * 4 * 4, "fake:low": 2 * 4 * 1}
    assert {name: each["fc"] / boxes for name, each in flops.items()} == pytest.approx(per_box)
    assert flops["fake"]["total"] == flops["fake"]["features"] == flops["fake"]["fc"]
    total = summary["speedup"]["fake"]["total"]
    assert total["flop_ratio"] == pytest.approx(2)
    assert total["flop_ratio"] * total["utilisation_ratio"] == pytest.approx(total["value"])
    conv = summary["speedup"]["fake"]["conv"]
    assert (conv["flop_ratio"], conv["utilisation_ratio"]) == (None, None)
    assert conv["flop_reason"]
    text = (tmp_path / "run/report.md").read_text()
    assert "## Floating-point operations" in text
    assert "One multiply-add is two operations" in text
    (tmp_path / "run/flops.json").unlink()
    older = summarise(RunFolder(tmp_path / "run"))
    assert older["methods"]["fake"]["flops"] is None
    assert older["speedup"]["fake"]["total"]["flop_reason"] == "floating-point operations were not counted"
    monkeypatch.setattr(fake.__mro__[1], "fit", None)
    assert compare(plan, tmp_path / "run", resume=True, **arguments) == summary
