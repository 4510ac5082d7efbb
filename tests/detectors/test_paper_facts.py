"""What the three papers say, by name. Numbers are typed in from the papers and their released code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import detectors
from detectors import fast, rcnn, spp
from detectors.contract import Detector, Example
from detectors.parts import chunks
from detectors.parts.backbones import Backbone, FcStack
from detectors.parts.head import Head
from detectors.parts.mining import HardNegativeMiner
from detectors.parts.pooling import map_windows, roi_pool, spatial_pyramid_pool
from detectors.parts.svm import SvmSettings

Make = Callable[..., Detector]
Scenes = tuple[Example, ...]

_RCNN: Any
_SPP: Any
_FAST: Any
_RCNN, _SPP, _FAST = (detectors.load(name).config for name in ("rcnn", "spp", "fast"))
every_config = pytest.mark.parametrize("config", [_RCNN, _SPP, _FAST], ids=["rcnn", "spp", "fast"])


def _fitted_tensors(detector: Detector, scenes: Scenes, workdir: Path) -> dict[str, torch.Tensor]:
    detector.fit(scenes, generator=torch.Generator().manual_seed(0), workdir=workdir)
    detector.save(workdir / "model")
    tensors: dict[str, torch.Tensor] = load_file(workdir / "model")
    return tensors


def test_pyramid_6_3_2_1_has_50_bins() -> None:
    """Levels 6, 3, 2 and 1 give 36 + 9 + 4 + 1 bins, 12,800 features of 256 channels [SPP 4.1]."""
    backbone = detectors.load_backbone("squeezenet1_1", "random", generator=torch.Generator().manual_seed(0))
    levels = spp.SPP(20, _SPP, backbone, torch.device("cpu")).levels
    assert levels == (6, 3, 2, 1)
    pooled = spatial_pyramid_pool(torch.rand(1, 256, 13, 13), torch.tensor([[0, 0, 12, 12]]), levels)
    assert pooled.shape == (1, 12_800)


def test_published_iterations() -> None:
    """R-CNN's released model is of iteration 70k, SPP-net takes 250k + 50k, Fast R-CNN 30k + 10k mini-batches."""
    assert _RCNN.iterations == 70_000
    assert _SPP.iterations == 300_000
    assert [round(_SPP.iterations * share) for share in _SPP.sgd.lr_drops_at] == [250_000]
    assert _FAST.iterations == 40_000
    assert [round(_FAST.iterations * share) for share in _FAST.sgd.lr_drops_at] == [30_000]
    assert [round(_RCNN.iterations * share) for share in _RCNN.sgd.lr_drops_at] == [20_000, 40_000, 60_000]


def test_published_rates() -> None:
    """Pretrained layers learn at 0.001 in R-CNN and Fast R-CNN, fc8 of R-CNN at ten times that, and all fc layers of
    SPP-net at 0.0001 [RCNN 2.3, FRCN 2.3, SPP 4.1]."""
    assert (_RCNN.sgd.lr, _RCNN.sgd.new_layer_factor) == (1e-3, 10)
    assert (_FAST.sgd.lr, _FAST.sgd.new_layer_factor) == (1e-3, 1)
    assert (_SPP.sgd.lr, _SPP.sgd.new_layer_factor) == (1e-4, 1)


@every_config
def test_fine_tuning_foreground_share_is_a_quarter(config: Any) -> None:
    """32 of 128 regions overlap an object by 0.5 or more in all three papers [RCNN 2.3, SPP 4.1, FRCN 2.3]."""
    assert config.sampling.regions == 128
    assert config.sampling.foreground == 32
    assert config.sampling.foreground_iou == 0.5


@every_config
def test_momentum_decay_and_drop(config: Any) -> None:
    """Momentum 0.9, weight decay 0.0005, and a rate that drops to a tenth [FRCN 2.3, released solvers]."""
    assert (config.sgd.momentum, config.sgd.weight_decay, config.sgd.lr_drop) == (0.9, 5e-4, 0.1)


def test_rcnn_background_reaches_down_to_iou_0() -> None:
    """Any box below 0.5 is background for R-CNN [RCNN 2.3]."""
    assert _RCNN.sampling.background_iou == 0


def test_fast_background_iou_0_1() -> None:
    """Background overlaps an object by 0.1 at least, below 0.5 [FRCN 2.3]; SPP-net the same [SPP 4.1]."""
    assert _FAST.sampling.background_iou == 0.1
    assert _SPP.sampling.background_iou == 0.1


def test_fast_takes_two_images_of_64_regions() -> None:
    """N = 2 images, R = 128 regions [FRCN 2.3]."""
    assert _FAST.images == 2
    assert _FAST.sampling.regions // _FAST.images == 64


def test_image_sizes() -> None:
    """SPP-net's single scale is 688 px, Fast R-CNN's 600 px with the long side up to 1,000 [SPP 4.1, FRCN 5.2]."""
    assert _SPP.scales_px == (688,)
    assert (_FAST.scales_px, _FAST.long_side_cap_px) == ((600,), 1000)


def test_five_scales() -> None:
    """480, 576, 688, 864 and 1,200 px, for Fast R-CNN up to 2,000; SPP-net's released code has 874 [SPP 4.1]."""
    assert detectors.load("spp:5").config.scales_px == (480, 576, 688, 864, 1200)
    assert detectors.load("spp:5-code").config.scales_px == (480, 576, 688, 874, 1200)
    fast_5 = detectors.load("fast:5").config
    assert (fast_5.scales_px, fast_5.long_side_cap_px) == ((480, 576, 688, 864, 1200), 2000)


@pytest.mark.parametrize(
    ("name", "crop_px", "context_px"), [("caffenet", 227, 16), ("squeezenet1_1", 224, 16), ("mini", 64, 5)]
)
def test_rcnn_context_is_16_px_of_227(name: str, crop_px: int, context_px: int) -> None:
    """A crop of 227 px shows 16 px of context on each side; other crops as much in proportion [RCNN App. A]."""
    backbone = detectors.load_backbone(name, "random", generator=torch.Generator().manual_seed(0))
    detector = rcnn.RCNN(8, _RCNN, backbone, torch.device("cpu"))
    assert (detector.geometry.crop_px, detector.context_px) == (crop_px, context_px)


def test_rcnn_sends_256_crops_at_a_time() -> None:
    """The released network takes batches of 256 (rcnn_create_model.m)."""
    assert chunks.PUBLISHED == 256


def test_rcnn_ridge_lambda_1000_iou_0_6() -> None:
    """lambda 1,000 on boxes with IoU above 0.6 [RCNN App. C]."""
    assert (_RCNN.ridge.ridge_lambda, _RCNN.ridge.min_iou) == (1000, 0.6)


def test_spp_ridge_lambda_4000_iou_half() -> None:
    """lambda 4,000 on boxes with IoU from 0.5 (released code of SPP-net)."""
    assert (_SPP.ridge.ridge_lambda, _SPP.ridge.min_iou) == (4000, 0.5)


@pytest.mark.parametrize("config", [_RCNN, _SPP], ids=["rcnn", "spp"])
def test_svm_constants(config: Any) -> None:
    """C 0.001, bias 10, positives twice, hard above -1.0001, evicted below -1.2, retrained every 2,000, norm 20."""
    svm = config.svm
    assert (svm.c, svm.bias_mult, svm.positive_weight) == (1e-3, 10, 2)
    assert (svm.hard_threshold, svm.evict_threshold, svm.retrain_limit, svm.feature_norm) == (-1.0001, -1.2, 2000, 20)


def test_svm_negatives_below_iou_0_3() -> None:
    """A box that overlaps an object of the class by 0.3 teaches its SVM nothing; one by 0.29 does [RCNN 2.3]."""
    draw = torch.Generator().manual_seed(0)
    positives = torch.randn(10, 5, generator=draw) + 1
    negatives, extra = torch.randn(20, 5, generator=draw) - 1, torch.randn(4, 5, generator=draw) + 2

    def trained(overlap: float | None) -> torch.Tensor:
        miner = HardNegativeMiner([positives], SvmSettings(c=0.1))
        boxes = negatives if overlap is None else torch.cat([negatives, extra])
        ious = torch.zeros(len(boxes), 1)
        ious[len(negatives) :] = overlap or 0.0
        miner.add_image(boxes, ious)
        return miner.finish().weight

    assert torch.equal(trained(0.3), trained(None))
    assert torch.equal(trained(0.9), trained(None))
    assert not torch.allclose(trained(0.29), trained(None), rtol=0.01)


def test_fast_targets_are_normalised_then_folded_back(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Targets of a class are trained with mean 0 and deviation 1, and the saved layer predicts them in their own units.

    With a learning rate of 0 the layer stays N(0, 0.001) with bias 0 until both statistics are folded into it, so its
    bias is then the mean target of the class, over images and mirror images, and its weights are spread by 0.001
    deviations [FRCN 2.3].
    """
    settings = replace(_FAST.sgd_random_fc, lr=0.0)
    tensors = _fitted_tensors(small("fast", sgd_random_fc=settings, fc_width=512), scenes, tmp_path)
    weight, bias = tensors["head.outputs.boxes.weight"].view(8, 4, -1), tensors["head.outputs.boxes.bias"].view(8, 4)
    compared = 0
    for label in range(1, 9):
        targets = _foreground_targets(scenes, label)
        if len(targets) < 3:
            continue
        compared += 1
        targets = np.concatenate([targets, targets * (-1, 1, 1, 1)])
        np.testing.assert_allclose(bias[label - 1].numpy(), targets.mean(axis=0), rtol=1e-3, atol=1e-5)
        spread = weight[label - 1].double().std(dim=1).numpy()
        np.testing.assert_allclose(spread, 0.001 * targets.std(axis=0), rtol=0.15)
    assert compared >= 3


def _foreground_targets(scenes: Scenes, label: int) -> np.ndarray[Any, Any]:
    """Deltas of all boxes whose most overlapped object has this label, by IoU >= 0.5, written out [RCNN App. C]."""
    found = []
    for one in scenes:
        truth = one.boxes.double().numpy()
        for x1, y1, x2, y2 in np.concatenate([truth, one.proposals.double().numpy()]):
            width = (np.minimum(x2, truth[:, 2]) - np.maximum(x1, truth[:, 0])).clip(0)
            height = (np.minimum(y2, truth[:, 3]) - np.maximum(y1, truth[:, 1])).clip(0)
            areas = (truth[:, 2:] - truth[:, :2]).prod(axis=1)
            iou = width * height / (areas + (x2 - x1) * (y2 - y1) - width * height)
            best = int(iou.argmax())
            if iou[best] >= 0.5 and int(one.labels[best]) == label:
                gx1, gy1, gx2, gy2 = truth[best]
                shift = ((gx1 + gx2 - x1 - x2) / 2 / (x2 - x1), (gy1 + gy2 - y1 - y2) / 2 / (y2 - y1))
                found.append((*shift, np.log((gx2 - gx1) / (x2 - x1)), np.log((gy2 - gy1) / (y2 - y1))))
    return np.array(found).reshape(-1, 4)


def _with_fc_layers(backbone: Backbone, levels: tuple[int, ...]) -> Backbone:
    """The backbone with pretrained fc6 and fc7 of 24 and 16 that take these grids, its fourth layer the first tuned."""
    stack = FcStack(levels, (24, 16))
    draw = torch.Generator().manual_seed(3)
    weights = {key: torch.randn(shape, generator=draw) / 50 for key, shape in stack.shapes(64).items()}
    geometry = replace(backbone.geometry, fc=stack, tuned_from="4th")
    layers = ("1st", "2nd", "3rd", "4th", "5th")
    return Backbone(
        "own", backbone.features, geometry, backbone.convention, "0" * 64, layers=layers, fc_weights=weights
    )


@pytest.mark.parametrize(
    ("name", "levels", "convolutions", "fc", "fc8"),
    [
        ("rcnn", (6,), (0, 1, 2, 3, 4), ((1e-3, 5e-4), (2e-3, 0)), ((1e-2, 5e-4), (2e-2, 0))),
        ("spp", (6, 3, 2, 1), (), ((1e-4, 5e-4), (2e-4, 5e-4)), ((1e-4, 5e-4), (2e-4, 5e-4))),
        ("fast", (6,), (3, 4), ((1e-3, 5e-4), (2e-3, 0)), ((1e-3, 5e-4), (2e-3, 0))),
    ],
)
def test_rate_and_decay_of_every_layer(
    name: str,
    levels: tuple[int, ...],
    convolutions: tuple[int, ...],
    fc: tuple[tuple[float, float], tuple[float, float]],
    fc8: tuple[tuple[float, float], tuple[float, float]],
    scenes: Scenes,
    backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With pretrained fc layers: R-CNN learns all at 0.001 and fc8 at 0.01; SPP-net only fc layers, at 0.0001; Fast
    R-CNN at 0.001 from its first tuned layer on. Biases twice as fast, and undecayed but in SPP-net [RCNN 2.3, SPP 4.1,
    FRCN 2.3, 4.5, the prototxts]. What is not tuned is in no group, so that neither momentum nor decay moves it.
    """
    method = detectors.load(name)
    module = importlib.import_module(f"detectors.{name}")
    found: dict[int, tuple[float, float]] = {}

    def look(groups: list[dict[str, Any]], *_: object) -> None:
        found.update({id(one): (group["lr"], group["weight_decay"]) for group in groups for one in group["params"]})

    monkeypatch.setattr(module, "descend", look)
    own = _with_fc_layers(backbone, levels)
    detector: Any = method.detector(8, replace(method.config, iterations=1), own, torch.device("cpu"))
    detector.fit(scenes, generator=torch.Generator().manual_seed(0), workdir=tmp_path)
    network = detector._network
    assert own.fc_weights is not None
    assert torch.equal(network.head.fc6.weight, own.fc_weights["fc6.weight"])
    convs = [layer for layer in network.backbone.features if isinstance(layer, torch.nn.Conv2d)]
    expected = {id(network.head.fc6): fc, id(network.head.fc7): fc} | {id(convs[place]): fc for place in convolutions}
    expected |= {id(layer): fc8 for layer in network.head.outputs.values()}
    layers = [*convs, network.head.fc6, network.head.fc7, *network.head.outputs.values()]
    for layer in layers:
        for one, wanted in zip((layer.weight, layer.bias), expected.get(id(layer), (None, None)), strict=True):
            assert (id(one) in found) == (wanted is not None)
            if wanted is not None:
                assert found.pop(id(one)) == pytest.approx(wanted)
    assert not found


@pytest.mark.parametrize("levels", [(6,), (6, 3, 2, 1)])
def test_frozen_layers_stay_to_the_bit(
    levels: tuple[int, ...], scenes: Scenes, backbone: Backbone, tmp_path: Path
) -> None:
    """Momentum and decay move no layer below the first tuned one, nor a bias of it, in any number of steps [FRCN 4.5];
    in the second stage of stage-wise training not even that which learnt in the first."""
    own = _with_fc_layers(backbone, levels)
    for name in ("fast", "fast:stage-wise"):
        method = detectors.load(name)
        detector: Any = method.detector(8, replace(method.config, iterations=3), own, torch.device("cpu"))
        conv = _conv(_fitted_tensors(detector, scenes, tmp_path / name))
        before = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
        changed = sorted({key.rpartition(".")[0] for key in conv if not torch.equal(conv[key], before[key])})
        assert changed == ["backbone.features.10", "backbone.features.8"]


@pytest.mark.parametrize("name", ["rcnn", "spp", "fast"])
def test_new_outputs_start_as_published(name: str, small: Make, tmp_path: Path) -> None:
    """Class scores start N(0, 0.01), Fast R-CNN's offsets N(0, 0.001), all biases 0 [SPP 4.1, FRCN 2.3]."""
    detector = small(name, fc_width=1024)
    detector.initialise(generator=torch.Generator().manual_seed(0))
    detector.save(tmp_path / "model")
    tensors = load_file(tmp_path / "model")
    deviations = {"classes": 0.01} | ({"boxes": 0.001} if name == "fast" else {})
    for output, deviation in deviations.items():
        assert float(tensors[f"head.outputs.{output}.weight"].std()) == pytest.approx(deviation, rel=0.05)
        assert not tensors[f"head.outputs.{output}.bias"].any()


def test_fc_layers_drop_half() -> None:
    """Dropout of 0.5 behind fc6 and fc7 while a network learns (the prototxts of all three)."""
    head = Head(4, (4000, 4000), {})
    head.start(torch.ones(1, 4), {}, torch.Generator().manual_seed(0))
    with torch.no_grad():
        # All of fc6 is above 0, and all of fc7, whichever half of fc6 is dropped.
        for linear in (head.fc6, head.fc7):
            linear.weight.fill_(1e-3)
        for layer in ("fc6", "fc7"):
            features = head.features(torch.ones(1, 4), torch.Generator().manual_seed(1), layer=layer)  # type: ignore[arg-type]
            assert float((features == 0).float().mean()) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("level", [6, 3, 2, 1])
def test_one_level_pyramid_pools_like_roi_pooling_on_the_same_window(level: int) -> None:
    """ "RoI pooling is the special case of one pyramid level" [FRCN 2.1]: the same bins of the same window of cells."""
    draw = torch.Generator().manual_seed(level)
    features = torch.rand(1, 5, 23, 31, generator=draw)
    low = torch.stack([torch.randint(0, 20, (40,), generator=draw), torch.randint(0, 15, (40,), generator=draw)], 1)
    high = low + torch.randint(0, 8, (40, 2), generator=draw)
    windows = torch.cat([low, high], dim=1)
    # Corners that RoI pooling maps to these cells without rounding: the last pixel stands on the last cell's centre.
    boxes = torch.cat([16 * low, 16 * high + 1], dim=1).float()
    pyramid = spatial_pyramid_pool(features, windows, (level,)).view(40, 5, level, level)
    assert torch.equal(pyramid, roi_pool(features, boxes, size=level, stride=16))


def test_the_two_papers_map_a_box_differently() -> None:
    """SPP-net trims a box of 16..79 px inwards to cells 2..4, Fast R-CNN rounds it to 1..5 [SPP App. A, FRCN 2.1]."""
    box = torch.tensor([[16.0, 16.0, 80.0, 80.0]])
    assert map_windows(box, stride=16, offset_px=0.0, height=8, width=8).tolist() == [[2, 2, 4, 4]]
    features = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    assert float(roi_pool(features, box, size=1)) == 5


def _conv(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in tensors.items() if key.startswith("backbone.")}


def test_only_fc_layers_of_spp_change_in_fine_tuning(
    small: Make, scenes: Scenes, backbone: Backbone, tmp_path: Path
) -> None:
    """SPP-net's convolutions stay as pretrained, to the bit; fc6, fc7 and fc8 are trained [SPP 4.1]."""
    tensors = _fitted_tensors(small("spp"), scenes, tmp_path)
    before = backbone.state_dict()
    conv = _conv(tensors)
    assert set(conv) == {f"backbone.{key}" for key in before}
    assert all(torch.equal(value, before[key.removeprefix("backbone.")]) for key, value in conv.items())
    started = _fitted_tensors(small("spp", sgd_random_fc=replace(_SPP.sgd, lr=0.0)), scenes, tmp_path)
    for layer in ("fc6", "fc7", "outputs.classes"):
        assert not torch.equal(tensors[f"head.{layer}.weight"], started[f"head.{layer}.weight"])


@pytest.mark.parametrize("name", ["rcnn", "fast"])
def test_rcnn_and_fast_change_the_convolutions(
    name: str, small: Make, scenes: Scenes, backbone: Backbone, tmp_path: Path
) -> None:
    """Fine-tuning reaches the convolutions, from the last one down [RCNN 2.3, FRCN 4.5]."""
    before = backbone.state_dict()
    conv = _conv(_fitted_tensors(small(name), scenes, tmp_path))
    changed = [
        key
        for key, value in conv.items()
        if key.endswith("weight") and not torch.equal(value, before[key.removeprefix("backbone.")])
    ]
    weights = [key for key in conv if key.endswith("weight")]
    assert len(changed) >= len(weights) - 1, "all but conv1 at most, which Fast R-CNN's small nets freeze"
    assert max(weights) in changed


def test_only_fast_is_trained_in_one_stage(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """R-CNN and SPP-net keep SVMs and regressors beside the network; Fast R-CNN's are two outputs of it [FRCN 1.1]."""
    for name in ("rcnn", "spp", "fast"):
        tensors = _fitted_tensors(small(name, iterations=1), scenes, tmp_path)
        assert any(key.startswith("posthoc.svm") for key in tensors) == (name != "fast")
        assert ("head.outputs.boxes.weight" in tensors) == (name == "fast")


def test_papers_own_policies() -> None:
    """NMS at 0.3 in all; R-CNN and Fast R-CNN keep 100 a class before it, SPP-net 100 after it above -1.5."""
    assert {method.paper_policy.iou for method in (rcnn.RCNN, spp.SPP, fast.FastRCNN)} == {0.3}
    for method in (rcnn.RCNN, fast.FastRCNN):
        assert method.paper_policy.per_class_before == 100
    policy = spp.SPP.paper_policy
    assert (policy.min_score, policy.per_class_before, policy.per_class_after) == (-1.5, None, 100)
