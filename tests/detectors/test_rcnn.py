"""R-CNN: its published numbers, its settings, what its chunks may and may not change, and fits that were stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import detectors
from detectors.contract import Detections, Detector, Example, FitError, Policy, SettingsError, Stage, listening
from detectors.parts import sgd as sgd_module
from detectors.parts.backbones import Backbone, FcStack
from detectors.parts.boxes import clip, decode
from detectors.parts.crops import warp
from detectors.parts.decide import decide
from detectors.parts.sampling import Sampling
from detectors.rcnn import RCNN, RCNNConfig
from harness.testing import Ear
from harness.testing.subject import ALL, assert_same

Make = Callable[..., Any]
Get = Callable[[str], Any]
Scenes = tuple[Example, ...]

CPU = torch.device("cpu")
PUBLISHED = RCNNConfig()


def _seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def _like(fitted: Detector, make: Make, folder: Path, name: str = "rcnn", **settings: object) -> Any:
    """A detector of other settings with what another has learnt."""
    fitted.save(folder / "model")
    other = make(name, **settings)
    other.restore(folder / "model")
    return other


def test_published_schedule() -> None:
    """70k mini-batches at 0.001, a tenth after every 20k, momentum 0.9, decay 0.0005; fc8 learns 10 times as fast, its
    biases 20 times and without decay [RCNN 2.3 and prototxts]."""
    sgd = PUBLISHED.sgd
    assert PUBLISHED.iterations == 70_000
    assert [round(share * 70_000) for share in sgd.lr_drops_at] == [20_000, 40_000, 60_000]
    assert (sgd.lr, sgd.lr_drop, sgd.momentum, sgd.weight_decay) == (1e-3, 0.1, 0.9, 5e-4)
    assert (sgd.new_layer_factor, sgd.new_layer_factor * sgd.bias_factor, sgd.decay_biases) == (10, 20, False)


def test_a_mini_batch_is_32_and_96() -> None:
    """128 crops, 32 with an IoU of 0.5 or more; 24 for VGG16, of which 6 [RCNN 2.3, 3.3]."""
    for config, foreground, background in (
        (PUBLISHED, 32, 96),
        (detectors.load("rcnn:batch24").config, 6, 18),
    ):
        sampling = config.sampling
        assert (sampling.foreground, sampling.regions - sampling.foreground) == (foreground, background)
        assert (sampling.foreground_iou, sampling.background_iou) == (0.5, 0)


def test_context_is_16_px_of_227(backbone: Backbone) -> None:
    """The box is grown by 227 / (227 - 32) [RCNN App. A]; 64-px crops show as much in proportion."""
    large = Backbone("large", nn.Identity(), replace(backbone.geometry, crop_px=227), backbone.convention, "random")
    assert RCNN(2, PUBLISHED, large, CPU).context_px == 16
    assert RCNN(2, PUBLISHED, backbone, CPU).context_px == round(64 * 16 / 227) == 5
    # 195 px are shown as 195 of 227 pixels: one image pixel each, from 16 before the box on.
    places = RCNN(2, PUBLISHED, large, CPU).sources(torch.tensor([[100.0, 100.0, 295.0, 295.0]]), 500, 500)
    steps = places[0, 0].diff()
    assert float(steps.mean()) == pytest.approx(1, abs=0.01)
    assert float(places[0, 0, 16]) == pytest.approx(100, abs=1)


@pytest.mark.parametrize(("cells", "kernel", "level"), [(13, 3, 6), (14, 2, 7)])
def test_the_crop_grid_is_caffes_pool5(cells: int, kernel: int, level: int) -> None:
    """Bins of equal parts are CaffeNet's and VGG_CNN_M's pool5 on 13 x 13 cells, and VGG16's on 14 x 14."""
    maps = torch.rand(2, 5, cells, cells, generator=_seed())
    pool5 = functional.max_pool2d(maps, kernel, stride=2, ceil_mode=True)
    assert pool5.shape[2:] == (level, level)
    assert torch.equal(functional.adaptive_max_pool2d(maps, level), pool5)


def test_scores_follow_from_crops_one_by_one(fitted: Get, scenes: Scenes) -> None:
    """Each proposal alone through warp, conv, pooling, fc, SVMs and regressors gives the same box and scores."""
    detector, image, proposals = fitted("rcnn"), scenes[0].image, scenes[0].proposals[:9]
    boxes, scores = detector.score(image, proposals)
    network, pixels = detector._network, detector.convention.apply(image)
    for index, box in enumerate(proposals[:, None]):
        with torch.no_grad():
            maps = network.backbone(warp(pixels, box, size_px=64, context_px=5))
            pooled = functional.adaptive_max_pool2d(maps, 6).flatten(1)
            expected = network.posthoc.scores(network.head.features(pooled))
            moved = clip(decode(box, network.posthoc.deltas(pooled)), *image.shape[1:])
        torch.testing.assert_close(scores[index], expected[0], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(boxes[index], moved[0], rtol=1e-3, atol=1e-2)


def test_pool5_is_scored_without_fc_layers(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """First row of [RCNN Table 2]: SVMs on the pooled maps of the network as pretrained, which is not fine-tuned."""
    detector: Any = small("rcnn:pool5")
    pretrained = {name: value.clone() for name, value in detector._backbone.state_dict().items()}
    detector.fit(scenes[:4], generator=_seed(), workdir=tmp_path)
    image, proposals = scenes[0].image, scenes[0].proposals[:9]
    boxes, scores = detector.score(image, proposals)
    network, pixels = detector._network, detector.convention.apply(image)
    for index, box in enumerate(proposals[:, None]):
        with torch.no_grad():
            maps = network.backbone(warp(pixels, box, size_px=64, context_px=5))
            expected = network.posthoc.scores(functional.adaptive_max_pool2d(maps, 6).flatten(1))
        torch.testing.assert_close(scores[index], expected[0], rtol=1e-3, atol=1e-3)
    assert torch.equal(boxes, clip(proposals[:, None].expand_as(boxes), *image.shape[1:]))
    assert all(torch.equal(value, pretrained[name]) for name, value in network.backbone.state_dict().items())
    assert not [name for name, _ in network.named_parameters() if "head" in name]


def test_softmax_scoring(fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """One fitted model scores by SVMs or by the softmax of fc8, background left out; the boxes are the same."""
    svm = fitted("rcnn")
    softmax = _like(svm, small, tmp_path, "rcnn:softmax")
    assert (svm.score_kind, softmax.score_kind) == ("svm", "softmax")
    boxes, scores = softmax.score(scenes[0].image, scenes[0].proposals)
    assert torch.equal(boxes, svm.score(scenes[0].image, scenes[0].proposals)[0])
    assert not torch.equal(scores, svm.score(scenes[0].image, scenes[0].proposals)[1])
    with torch.no_grad():
        _, pooled, _ = softmax.describe(softmax._network, scenes[0].image, scenes[0].proposals)
        every = softmax._network.head(pooled)["classes"].exp()
    shown = softmax._network.shown
    torch.testing.assert_close(scores[:, shown], (every[:, 1:] / every.sum(1, keepdim=True))[:, shown])


def test_softmax_detects_no_class_that_was_never_shown(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Softmax gives every class a score; those without an object are left out, also from a restored file."""
    some = [replace(one, labels=torch.full_like(one.labels, 3)) for one in scenes[:2]]
    detector = small("rcnn:softmax", n_classes=4, policy=ALL)
    detector.fit(some, generator=_seed(), workdir=tmp_path)
    found = detector.detect(scenes[0].image, scenes[0].proposals)
    assert set(found.labels.tolist()) == {3}
    restored = _like(detector, small, tmp_path, "rcnn:softmax", n_classes=4, policy=ALL)
    assert_same(restored.detect(scenes[0].image, scenes[0].proposals), found)


def test_without_regression_boxes_stay(fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """`no-bb` scores the same and leaves every proposal where it is."""
    unmoved = _like(fitted("rcnn"), small, tmp_path, "rcnn:no-bb")
    boxes, scores = unmoved.score(scenes[0].image, scenes[0].proposals)
    assert torch.equal(scores, fitted("rcnn").score(scenes[0].image, scenes[0].proposals)[1])
    assert torch.equal(boxes, scenes[0].proposals[:, None].expand(-1, 8, 4))


def test_the_pyramid_by_option(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """50 bins of a crop's map in SPP-net's order, each grid channel by channel [SPP 4.1, Table 10]."""
    detector = small("rcnn:pyramid")
    detector.initialise(generator=_seed())
    maps = torch.rand(3, 64, 8, 8, generator=_seed())
    grids = [functional.adaptive_max_pool2d(maps, level).flatten(1) for level in (6, 3, 2, 1)]
    assert torch.equal(detector.pool(maps), torch.cat(grids, dim=1))
    assert detector.pool(maps).shape == (3, 64 * 50)
    assert len(detector.detect(scenes[0].image, scenes[0].proposals).scores) > 0


def test_levels_are_the_backbones_own(backbone: Backbone) -> None:
    """A network trained with a pyramid before fc6 gets it under R-CNN, too, as in [SPP Table 10]; others one grid."""
    stack = FcStack((1, 2, 3, 6), (16, 16))
    trained = Backbone(
        "zf", backbone.features, replace(backbone.geometry, fc=stack), backbone.convention, backbone.weights
    )
    assert RCNN(2, PUBLISHED, trained, CPU).levels == (1, 2, 3, 6)
    assert RCNN(2, replace(PUBLISHED, levels=(6,)), trained, CPU).levels == (6,)
    assert RCNN(2, PUBLISHED, backbone, CPU).levels == (6,)


def test_pretrained_fc_layers_are_taken_and_learn_slowly(
    backbone: Backbone, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fc6 and fc7 of the network start from its own weights at 0.001, fc8 at 0.01; random ones all at 0.01."""
    stack = FcStack((6,), (16, 16))
    own = {
        name: torch.randn(shape, generator=_seed(number)) * 0.02
        for number, (name, shape) in enumerate(stack.shapes(64).items())
    }
    geometry = replace(backbone.geometry, fc=stack)
    trained = Backbone("own", backbone.features, geometry, backbone.convention, "random", fc_weights=own)
    rates: list[dict[int, float]] = []

    def look(groups: list[dict[str, Any]], *_: object) -> None:
        rates.append({id(parameter): group["lr"] for group in groups for parameter in group["params"]})

    monkeypatch.setattr("detectors.rcnn.descend", look)
    for made_from, slow in ((trained, 1e-3), (backbone, 1e-2)):
        detector = RCNN(8, replace(PUBLISHED, iterations=1, fc_width=16), made_from, CPU)
        detector.fit(scenes, generator=_seed(), workdir=tmp_path / made_from.name)
        head = detector._network.head
        assert rates[-1][id(head.fc6.weight)] == rates[-1][id(head.fc7.weight)] == pytest.approx(slow)
        assert rates[-1][id(head.outputs["classes"].weight)] == pytest.approx(1e-2)
        assert rates[-1][id(detector._network.backbone.features[0].weight)] == pytest.approx(1e-3)
        assert torch.equal(head.fc6.weight, own["fc6.weight"]) == (made_from is trained)
        assert len(rates[-1]) == len(list(head.parameters())) + len(list(backbone.parameters()))


@pytest.mark.parametrize("chunk", [1, 7, 256])
def test_a_chunk_changes_no_score(chunk: int, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """One crop, seven or all at a time: the same up to rounding, and the number is there to be read."""
    detector = _like(fitted("rcnn"), small, tmp_path, chunk=chunk)
    assert detector.chunk == chunk
    for found, expected in zip(
        detector.score(scenes[1].image, scenes[1].proposals),
        fitted("rcnn").score(scenes[1].image, scenes[1].proposals),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-2)


def test_the_chunk_is_chosen_for_the_network(small: Make) -> None:
    """Nobody has to ask for it, and it is known before anything is fitted."""
    assert small("rcnn").chunk == small("rcnn").chunk == 128


def test_a_chunk_that_does_not_fit_is_halved(
    fitted: Get, small: Make, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detections are those of a chunk that fits at once; the halving is said once and holds for later images."""
    image, proposals = scenes[0].image, torch.cat([one.proposals for one in scenes])[:32]
    expected = _like(fitted("rcnn"), small, tmp_path, chunk=16).detect(image, proposals)
    detector, ear = _like(fitted("rcnn"), small, tmp_path, chunk=32), Ear()
    forward = Backbone.forward

    def narrow(self: Backbone, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, pixels)

    monkeypatch.setattr(Backbone, "forward", narrow)
    with listening(ear):
        assert_same(detector.detect(image, proposals), expected)
        assert_same(detector.detect(image, proposals), expected)
    assert detector.chunk == 16
    assert ear.notices == ["R-CNN's chunk of crops halved to 16: out of memory"]
    assert (ear.nested, ear.crossed, ear.open) == ([], [], [])


def test_stages_follow_each_other(fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """For each chunk PREPARE, CONV, POOL; then once FC, DECODE and SUPPRESS; none within another."""
    detector, ear = _like(fitted("rcnn"), small, tmp_path, chunk=13), Ear()
    with listening(ear):
        detector.detect(scenes[0].image, scenes[0].proposals[:30])
    in_chunks = [Stage.PREPARE, Stage.CONV, Stage.POOL] * 3
    assert ear.heard == [Stage.PREPARE, *in_chunks, Stage.FC, Stage.DECODE, Stage.SUPPRESS]
    assert ear.nested == []


def test_no_proposals(fitted: Get, scenes: Scenes) -> None:
    """No boxes have no scores, and are no error."""
    boxes, scores = fitted("rcnn").score(scenes[0].image, torch.zeros(0, 4))
    assert (boxes.shape, scores.shape) == ((0, 8, 4), (0, 8))
    assert len(fitted("rcnn").detect(scenes[0].image, torch.zeros(0, 4)).scores) == 0


def test_detections_are_decided_scores(fitted: Get, scenes: Scenes) -> None:
    """`detect` is `score` and the policy."""
    detector = fitted("rcnn")
    expected = decide(*detector.score(scenes[0].image, scenes[0].proposals), Policy())
    assert isinstance(expected, Detections)
    assert_same(detector.detect(scenes[0].image, scenes[0].proposals), expected)


def test_bfloat16_detects_nearly_the_same(fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """The network runs in bfloat16, scores and boxes come in float32, and the saved file stays what it was."""
    half = _like(fitted("rcnn"), small, tmp_path, bf16=True)
    boxes, scores = half.score(scenes[0].image, scenes[0].proposals)
    expected_boxes, expected_scores = fitted("rcnn").score(scenes[0].image, scenes[0].proposals)
    assert boxes.dtype == scores.dtype == torch.float32
    shown = expected_scores.isfinite().all(0)
    torch.testing.assert_close(scores[:, shown], expected_scores[:, shown], rtol=0.1, atol=0.1)
    assert float((boxes - expected_boxes).abs().mean()) < 2
    half.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_a_stopped_fit_goes_on_to_the_same_bits(
    small: Make, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the fifth of six mini-batches and begun again, a fit ends with the file of an unbroken one."""
    monkeypatch.setattr(sgd_module, "CHECKPOINT_EVERY", 2)

    def fit(folder: str) -> bytes:
        detector = small("rcnn", iterations=6, sampling=Sampling(regions=16))
        detector.fit(scenes[:3], generator=_seed(), workdir=tmp_path / folder)
        detector.save(tmp_path / "model")
        return (tmp_path / "model").read_bytes()

    whole = fit("whole")
    passes, loss = [], functional.cross_entropy

    def stopping(*arguments: Any) -> torch.Tensor:
        passes.append(1)
        if len(passes) == 5:
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(functional, "cross_entropy", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit("broken")
    assert fit("broken") == whole
    assert len(passes) == 5 + 2


def test_mirrored_crops_are_crops_of_the_mirrored_image(small: Make, scenes: Scenes) -> None:
    """A mini-batch holds what warping each region by itself gives, mirrored where the draw says so, with its label."""
    from detectors.parts.regions import Regions
    from detectors.rcnn import _Finetuning

    detector = small("rcnn")
    regions = [Regions.of(one, 8) for one in scenes]
    network = detector._build()
    finetuning = _Finetuning(detector, network, network.head, scenes, regions, _seed())
    draw = finetuning._draws[3]
    crops, labels = finetuning._batch(draw)
    expected = []
    for index in draw.image.unique().tolist():
        for place in (draw.image == index).nonzero().flatten().tolist():
            box = regions[index].boxes[draw.region[place]][None]
            crop = warp(detector.convention.apply(scenes[index].image), box, size_px=64, context_px=5)
            expected.append((crop.flip(3) if draw.flipped[place] else crop, int(draw.label[place])))
    assert labels.tolist() == [label for _, label in expected]
    torch.testing.assert_close(crops, torch.cat([crop for crop, _ in expected]), rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scoring": "margin"}, "scoring of R-CNN: expected svm, softmax; got 'margin'"),
        ({"layer": "fc6"}, "layer of R-CNN: expected pool5, fc7; got 'fc6'"),
        ({"layer": "pool5", "scoring": "softmax"}, "softmax is an output of the fc layers, which layer pool5 has not"),
        ({"levels": ()}, "levels of R-CNN: expected numbers from 1 up"),
        ({"levels": (6, 0)}, "levels of R-CNN: expected numbers from 1 up"),
        ({"chunk": 0}, "chunk of R-CNN: expected 1 crop or more; got 0"),
        ({"context_px": 114}, "context_px of R-CNN: expected 0 or more and less than half of 227; got 114"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any], message: str, small: Make) -> None:
    """Before any slow work, in one line that says what would do."""
    with pytest.raises(SettingsError, match=message) as caught:
        small("rcnn", **wrong)
    assert "\n" not in str(caught.value)


def test_no_object_is_an_error(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Without any object there is nothing to learn."""
    empty = [replace(one, boxes=torch.zeros(0, 4), labels=torch.zeros(0).long(), difficult=torch.zeros(0).bool())
             for one in scenes]  # fmt: skip
    with pytest.raises(FitError, match="no object"):
        small("rcnn").fit(empty, generator=_seed(), workdir=tmp_path)
