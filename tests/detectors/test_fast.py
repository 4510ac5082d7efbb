"""Fast R-CNN: what its settings change, and that nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import detectors
from detectors import fast
from detectors.contract import Example, SettingsError, Stage, fit_settings, listening
from detectors.parts.backbones import Backbone, FcStack, Geometry, InputConvention
from detectors.parts.decide import decide
from detectors.parts.regions import Regions
from detectors.parts.sampling import draw_images
from detectors.parts.svd import LowRank, factorise
from detectors.parts.svm import SvmSettings
from detectors.parts.targets import Normaliser, box_loss
from harness.testing import Ear

Make = Callable[..., Any]
Scenes = tuple[Example, ...]
Tensors = dict[str, torch.Tensor]

_CONFIG = fast.FastRCNNConfig()
_NO_DESCENT = replace(_CONFIG.sgd_random_fc, lr=0.0)


def _seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def _fit(detector: Any, scenes: Scenes, workdir: Path, seed: int = 0) -> Tensors:
    """Fit and return what was learnt, by name."""
    detector.fit(scenes, generator=_seed(seed), workdir=workdir)
    detector.save(workdir / "model")
    tensors: Tensors = load_file(workdir / "model")
    return tensors


def _restored(detector: Any, workdir: Path) -> Any:
    detector.restore(workdir / "model")
    return detector


def _scores(detector: Any, example: Example) -> tuple[torch.Tensor, torch.Tensor]:
    boxes, scores = detector.score(example.image, example.proposals)
    return boxes, scores


def test_published_mini_batch() -> None:
    """Two images, 128 regions, 64 an image, 25 % of them foreground; background in [0.1, 0.5) [FRCN 2.3]."""
    sampling = _CONFIG.sampling
    assert (_CONFIG.images, sampling.regions, sampling.regions // _CONFIG.images) == (2, 128, 64)
    assert round(64 * sampling.foreground_share) == 16
    assert (sampling.foreground_iou, sampling.background_iou) == (0.5, 0.1)
    rng = np.random.default_rng(0)
    truth = torch.tensor([[30.0, 30.0, 70.0, 70.0]])
    proposals = torch.from_numpy(np.float32(truth.numpy() + rng.uniform(-30, 30, (2000, 4))))
    proposals = proposals[(proposals[:, 2:] - proposals[:, :2] > 4).all(dim=1)]
    one = Example(
        "one",
        torch.zeros(3, 100, 100, dtype=torch.uint8),
        truth,
        torch.tensor([3]),
        torch.zeros(1, dtype=torch.bool),
        proposals,
    )
    regions = [Regions.of(one, 5)] * 2
    draw = draw_images(regions, sampling, torch.tensor([0, 1]), _seed())
    overlap = regions[0].best_iou[draw.region]
    assert draw.image.bincount().tolist() == [64, 64]
    assert [int((draw.label[draw.image == index] > 0).sum()) for index in (0, 1)] == [16, 16]
    assert (overlap[draw.label > 0] >= 0.5).all()
    assert ((overlap[draw.label == 0] >= 0.1) & (overlap[draw.label == 0] < 0.5)).all()


def test_published_schedule() -> None:
    """0.001, a tenth of it after 30k of 40k mini-batches; momentum 0.9, decay 0.0005; biases twice and undecayed."""
    sgd = _CONFIG.sgd
    assert _CONFIG.iterations == 40_000
    assert [round(share * _CONFIG.iterations) for share in sgd.lr_drops_at] == [30_000]
    assert (sgd.lr, sgd.new_layer_factor, sgd.lr_drop, sgd.momentum, sgd.weight_decay) == (1e-3, 1, 0.1, 0.9, 5e-4)
    assert (sgd.bias_factor, sgd.decay_biases) == (2, False)


def test_published_sizes_and_svms() -> None:
    """600 px up to 1,000; five scales up to 2,000; SVMs as in R-CNN but evicting below -1.1 (the release)."""
    five = detectors.load("fast:5").config
    assert (_CONFIG.scales_px, _CONFIG.long_side_cap_px) == ((600,), 1000)
    assert (five.scales_px, five.long_side_cap_px) == ((480, 576, 688, 864, 1200), 2000)
    assert _CONFIG.svm == replace(SvmSettings(), evict_threshold=-1.1)


def test_variants_chain() -> None:
    """`fast:5:svd` has five scales and the published ranks, and can read the file of `fast:5`, not of `fast`."""
    one, five, both = (detectors.load(name).config for name in ("fast", "fast:5", "fast:5:svd"))
    assert (both.scales_px, both.svd_ranks) == (five.scales_px, (1024, 256))
    assert fit_settings(both) == fit_settings(five) != fit_settings(one)
    for name in ("svd", "no-bb"):
        assert fit_settings(detectors.load(f"fast:{name}").config) == fit_settings(one)
    for name in ("svm", "stage-wise", "classes", "fc6", "conv2", "conv3"):
        assert fit_settings(detectors.load(f"fast:{name}").config) != fit_settings(one)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tuned_from": "conv9"}, "no layer 'conv9'"),
        ({"training": "both"}, "expected joint, stage-wise, classes; got 'both'"),
        ({"scoring": "sigmoid"}, "expected softmax, svm; got 'sigmoid'"),
        ({"scales_px": ()}, "scales_px"),
        ({"svd_ranks": (0, 5)}, "svd_ranks"),
        ({"images": 0}, "images of Fast R-CNN: expected 1 to 128, .* got 0"),
        ({"images": 129}, "images of Fast R-CNN: expected 1 to 128, .* got 129"),
    ],
)
def test_impossible_settings_are_refused_at_once(settings: dict[str, Any], words: str, small: Make) -> None:
    """The constructor says what is wrong, before any slow work."""
    with pytest.raises(SettingsError, match=words):
        small("fast", **settings)


def test_detect_is_score_and_policy(fitted: Make, scenes: Scenes) -> None:
    """Scores are probabilities, one box and score for each proposal and class; the policy does the rest."""
    detector = fitted("fast")
    boxes, scores = _scores(detector, scenes[0])
    count = len(scenes[0].proposals)
    assert detector.score_kind == "softmax"
    assert boxes.shape == (count, 8, 4)
    assert scores.shape == (count, 8)
    shown = scores.isfinite().all(dim=0)
    assert (scores[:, shown].sum(dim=1) < 1).all()
    found, expected = detector.detect(scenes[0].image, scenes[0].proposals), decide(boxes, scores, _CONFIG.policy)
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)


def test_a_class_without_objects_has_no_score(fitted: Make, scenes: Scenes) -> None:
    """Softmax gives every class a score, but -inf is answered for those that were never seen."""
    _, scores = _scores(fitted("fast"), scenes[0])
    seen = {int(label) for one in scenes for label in one.labels}
    for label in range(1, 9):
        assert bool(scores[:, label - 1].isfinite().all()) == (label in seen)


def test_boxes_stay_without_regression(fitted: Make, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """`no-bb` reads the file of `fast`, gives its scores, and answers each proposal as it was for every class."""
    fitted("fast").save(tmp_path / "model")
    boxes, scores = _scores(_restored(small("fast:no-bb"), tmp_path), scenes[0])
    moved, expected = _scores(fitted("fast"), scenes[0])
    assert torch.equal(scores, expected)
    assert torch.equal(boxes, scenes[0].proposals[:, None].expand(-1, 8, 4))
    assert not torch.equal(moved, boxes)


def test_classes_alone(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Without a box loss there is no box layer, and the proposals are the boxes [FRCN Table 6, first column]."""
    detector = small("fast:classes")
    tensors = _fit(detector, scenes, tmp_path)
    assert not any("boxes" in key for key in tensors)
    assert torch.equal(_scores(detector, scenes[0])[0][:, 0], scenes[0].proposals)


def _snapshots(detector: Any, scenes: Scenes, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> list[Tensors]:
    """The head and the backbone before and after each descent of a fit."""
    taken: list[Tensors] = []
    descend = fast.descend

    def watched(*args: Any) -> None:
        network = detector_network[0]
        taken.append({key: value.clone() for key, value in network.state_dict().items()})
        descend(*args)
        taken.append({key: value.clone() for key, value in network.state_dict().items()})

    detector_network: list[nn.Module] = []
    build = detector._build

    def built() -> nn.Module:
        detector_network.append(build())
        return detector_network[0]

    monkeypatch.setattr(fast, "descend", watched)
    monkeypatch.setattr(detector, "_build", built)
    _fit(detector, scenes, workdir)
    return taken


def _changed(before: Tensors, after: Tensors) -> set[str]:
    return {key for key in before if not torch.equal(before[key], after[key])}


def test_stage_wise_training(small: Make, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the network without its box layer is trained, then the box layer alone [FRCN Table 6, third column]."""
    before, middle, start, after = _snapshots(small("fast:stage-wise"), scenes, tmp_path, monkeypatch)
    boxes = {"head.outputs.boxes.weight", "head.outputs.boxes.bias"}
    first = _changed(before, middle)
    assert not first & boxes
    assert {"backbone.features.0.weight", "head.fc6.weight", "head.outputs.classes.weight"} <= first
    assert not _changed(middle, start)
    assert _changed(start, after) == boxes


def test_joint_training_is_one_descent(
    small: Make, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All layers learn together under one loss [FRCN 2.3]."""
    before, after = _snapshots(small("fast"), scenes, tmp_path, monkeypatch)
    assert {key for key in before if "shown" not in key and "factor" not in key} == _changed(before, after)


@pytest.mark.parametrize(("layer", "frozen"), [("fc6", 5), ("conv3", 2), ("conv2", 1), ("auto", 0), (None, 0)])
def test_layers_before_the_first_tuned_one_stay(
    layer: str | None, frozen: int, small: Make, scenes: Scenes, backbone: Backbone, tmp_path: Path
) -> None:
    """Frozen convolutions keep their weights to the bit, all others and the fc layers learn [FRCN Table 5].

    `mini` says nothing of where to begin, so ``auto`` is all of it.
    """
    tensors = _fit(small("fast", tuned_from=layer), scenes, tmp_path)
    before = backbone.state_dict()
    changed = [not torch.equal(tensors[f"backbone.{key}"], before[key]) for key in before if key.endswith("weight")]
    assert changed == [False] * frozen + [True] * (5 - frozen)


def test_the_loss_is_classes_plus_lambda_times_boxes(small: Make, scenes: Scenes) -> None:
    """Cross-entropy over all regions plus lambda times the box loss, on the same draws [FRCN eq. 1]."""
    regions = [Regions.of(one, 8) for one in scenes]
    losses = []
    for weight in (0.0, 1.0, 3.0):
        detector = small("fast", bbox_weight=weight)
        network = detector._build()
        fitting = fast._Finetuning(detector, network, scenes, regions, _seed())
        with torch.no_grad():
            losses.append(float(fitting._multi_task_loss(0)))
            outputs, targets, labels = fitting._outputs(0)
    of_classes = float(functional.cross_entropy(outputs["classes"], labels))
    normaliser = Normaliser.of(regions, 8, 0.5)
    of_boxes = float(box_loss(outputs["boxes"].view(-1, 8, 4), targets, labels, normaliser))
    np.testing.assert_allclose(losses, [of_classes + weight * of_boxes for weight in (0, 1, 3)], rtol=1e-5)
    assert of_boxes > 0


def test_a_mini_batch_holds_what_was_drawn(small: Make, scenes: Scenes) -> None:
    """Labels and targets belong to the pooled regions: the matched object, mirrored with its image or not.

    Decoding the targets from the drawn boxes gives ground truth of the label, in the image or in its mirror image.
    """
    detector = small("fast")
    regions = [Regions.of(one, 8) for one in scenes]
    fitting = fast._Finetuning(detector, detector._build(), scenes, regions, _seed())
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    describe = detector.describe

    def watched(network: Any, image: torch.Tensor, boxes: torch.Tensor, scales_px: Any) -> Any:
        seen.append((image, boxes))
        return describe(network, image, boxes, scales_px)

    detector.describe = watched
    mirrored = set()
    for step in range(8):
        seen.clear()
        with torch.no_grad():
            _, targets, labels = fitting._outputs(step)
        place = 0
        for image, boxes in seen:
            one = next(
                each for each in scenes if torch.equal(each.image, image) or torch.equal(each.image.flip(2), image)
            )
            is_mirrored = not torch.equal(one.image, image)
            mirrored.add(is_mirrored)
            truth = one.boxes.clone()
            if is_mirrored:
                truth[:, 0::2] = image.shape[2] - one.boxes[:, [2, 0]]
            for box in boxes:
                label, target = int(labels[place]), targets[place]
                place += 1
                if label == 0:
                    continue
                size = box[2:] - box[:2]
                centre = (box[:2] + box[2:]) / 2 + target[:2] * size
                half = size * target[2:].exp() / 2
                goal = torch.cat([centre - half, centre + half])
                distance = (truth[one.labels == label] - goal).abs().amax(dim=1)
                assert float(distance.min()) < 0.01
        assert place == len(labels)
    assert mirrored == {False, True}


def test_every_scale_is_drawn_in_training(small: Make, scenes: Scenes) -> None:
    """Each image of a mini-batch is looked at in one scale, drawn at random (the release)."""
    detector = small("fast:5", images=2)
    regions = [Regions.of(one, 8) for one in scenes]
    fitting = fast._Finetuning(detector, detector._build(), scenes, regions, _seed())
    drawn: list[tuple[int, ...]] = []
    detector.describe = lambda network, image, boxes, scales_px: (
        drawn.append(tuple(scales_px)),
        (boxes, torch.zeros(len(boxes), 2304)),
    )[1]
    for step in range(30):
        fitting._outputs(step)
    assert len(drawn) == 60
    assert set(drawn) == {(480,), (576,), (688,), (864,), (1200,)}
    assert any(a != b for a, b in zip(drawn[0::2], drawn[1::2], strict=True))


def test_five_scales_take_each_box_from_its_best_one(small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """A box scores as it does at the single scale that brings its area nearest to 224 x 224 px of a full network."""
    five = small("fast:5")
    _fit(five, scenes, tmp_path)
    sizes = (480, 576, 688, 864, 1200)
    for one in scenes[:2]:
        height, width = one.image.shape[1:]
        alone = [_scores(_restored(small("fast:5", scales_px=(size,)), tmp_path), one) for size in sizes]
        boxes, scores = _scores(five, one)
        chosen = set()
        for row, (x1, y1, x2, y2) in enumerate(one.proposals.double().tolist()):
            distances = []
            for size in sizes:
                # `mini` was trained on 64-px crops where the papers' networks had 224.
                factor = min(round(size * 64 / 224) / min(height, width), round(2000 * 64 / 224) / max(height, width))
                distances.append(abs((x2 - x1) * (y2 - y1) * factor**2 - 64**2))
            best = int(np.argmin(distances))
            chosen.add(best)
            torch.testing.assert_close(scores[row], alone[best][1][row], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(boxes[row], alone[best][0][row], rtol=1e-4, atol=1e-3)
        assert len(chosen) >= 3


def test_svd_reads_the_same_file_and_writes_it_back(fitted: Make, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """The SVD changes what detects, not what was learnt: `fast:svd` shares the file of `fast` to the byte."""
    fitted("fast").save(tmp_path / "model")
    detector = _restored(small("fast:svd", svd_ranks=(512, 256)), tmp_path)
    detector.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
    assert isinstance(detector._detecting.head.fc6, LowRank)
    assert isinstance(detector._network.head.fc6, nn.Linear)


def test_svd_ranks_follow_the_width_of_random_layers(fitted: Make, small: Make, tmp_path: Path) -> None:
    """Layers of 32 keep 8 and 2 values where layers of 4,096 keep 1,024 and 256."""
    fitted("fast").save(tmp_path / "model")
    head = _restored(small("fast:svd"), tmp_path)._detecting.head
    assert (len(head.fc6.first), len(head.fc7.first)) == (8, 2)


def test_svd_detects_as_the_truncated_layers_do(fitted: Make, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Scores follow from fc6 and fc7 of lower rank, everything else being as it was."""
    fitted("fast").save(tmp_path / "model")
    detector, whole = _restored(small("fast:svd"), tmp_path), fitted("fast")
    with torch.inference_mode():
        _, pooled = whole.describe(whole._network, scenes[0].image, scenes[0].proposals, (600,))
        head = whole._network.head
        fc6 = torch.relu(factorise(head.fc6, 8)(pooled * head.input_factor))
        fc7 = torch.relu(factorise(head.fc7, 2)(fc6))
        expected = head.outputs["classes"](fc7).softmax(dim=1)[:, 1:]
    _, scores = _scores(detector, scenes[0])
    shown = scores.isfinite()
    torch.testing.assert_close(scores[shown], expected[shown], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(scores[shown], _scores(whole, scenes[0])[1][shown], rtol=1e-4)


def test_full_ranks_are_no_compression(fitted: Make, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """With all singular values `fast:svd` is `fast`: the layers stay whole, and a notice says so once each."""
    fitted("fast").save(tmp_path / "model")
    ear = Ear()
    with listening(ear):
        detector = _restored(small("fast:svd", svd_ranks=(4096, 4096)), tmp_path)
        assert len(ear.notices) == 2
        for mine, other in zip(_scores(detector, scenes[0]), _scores(fitted("fast"), scenes[0]), strict=True):
            assert torch.equal(mine, other)
        assert len(ear.notices) == 2


def test_bf16_is_near_and_saves_float32(fitted: Make, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Detecting in bfloat16 moves probabilities by little; the file of the model is the same."""
    fitted("fast").save(tmp_path / "model")
    detector = _restored(small("fast", bf16=True), tmp_path)
    boxes, scores = _scores(detector, scenes[0])
    exact_boxes, exact = _scores(fitted("fast"), scenes[0])
    assert (boxes.dtype, scores.dtype) == (torch.float32, torch.float32)
    assert detector._detecting.head.fc6.weight.dtype == torch.bfloat16
    torch.testing.assert_close(scores, exact, rtol=0, atol=0.02)
    torch.testing.assert_close(boxes, exact_boxes, rtol=0, atol=4.0)
    detector.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_svms_score_and_the_network_moves(fitted: Make, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """`svm` trains the same network, moves boxes by it, and scores fc7 by SVMs [FRCN 5.4]."""
    detector = small("fast:svm")
    tensors = _fit(detector, scenes, tmp_path)
    fitted("fast").save(tmp_path / "softmax")
    for key, value in load_file(tmp_path / "softmax").items():
        assert torch.equal(value, tensors[key])
    boxes, scores = _scores(detector, scenes[0])
    assert detector.score_kind == "svm"
    assert torch.equal(boxes, _scores(fitted("fast"), scenes[0])[0])
    with torch.inference_mode():
        network = detector._network
        _, pooled = detector.describe(network, scenes[0].image, scenes[0].proposals, (600,))
        expected = network.posthoc.scores(network.head.features(pooled))
    assert torch.equal(scores, expected)
    assert scores.isfinite().any()


@pytest.mark.parametrize(("name", "dies_at"), [("fast", 1), ("fast", 4), ("fast:5", 3), ("fast:stage-wise", 8)])
def test_a_stopped_fit_goes_on_to_the_same_bits(
    name: str, dies_at: int, small: Make, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at a mini-batch and started again, a fit takes up its checkpoint and learns what an unbroken one does."""
    monkeypatch.setattr("detectors.parts.sgd.CHECKPOINT_EVERY", 2)
    whole = _fit(small(name, iterations=5), scenes, tmp_path / "whole")
    draw, asked = fast.draw_images, []

    def dying(*args: Any) -> Any:
        asked.append(1)
        if len(asked) == dies_at:
            raise KeyboardInterrupt
        return draw(*args)

    monkeypatch.setattr(fast, "draw_images", dying)
    with pytest.raises(KeyboardInterrupt):
        _fit(small(name, iterations=5), scenes, tmp_path / "broken")
    resumed = _fit(small(name, iterations=5), scenes, tmp_path / "broken")
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())
    # Of 5 steps those since the last of a pair are taken again; a stage that was over is not, its last step saved.
    again = {("fast", 1): 5, ("fast", 4): 3, ("fast:5", 3): 3, ("fast:stage-wise", 8): 3}[name, dies_at]
    assert len(asked) - dies_at == again


def test_svms_are_trained_on_the_network_that_scores_by_softmax(
    small: Make, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both rows of [FRCN Table 8] come from one fine-tuning, and what it learns is what it learns alone."""
    monkeypatch.setattr("detectors.parts.sgd.CHECKPOINT_EVERY", 2)
    alone = _fit(small("fast:svm", iterations=3), scenes[:3], tmp_path / "alone")
    softmax = _fit(small("fast", iterations=3), scenes[:3], tmp_path / "shared")
    monkeypatch.setattr(fast._Finetuning, "_outputs", lambda *_: pytest.fail("fine-tuned again"))
    found = _fit(small("fast:svm", iterations=3), scenes[:3], tmp_path / "shared")
    assert all(torch.equal(found[key], alone[key]) for key in alone)
    assert all(torch.equal(found[key], softmax[key]) for key in softmax)


def test_a_checkpoint_of_another_fit_is_not_taken_up(
    small: Make, scenes: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other seed, images or settings: the fit begins at its beginning."""
    monkeypatch.setattr("detectors.parts.sgd.CHECKPOINT_EVERY", 2)
    settings = {"iterations": 3, "tuned_from": "fc6"}
    _fit(small("fast", **settings), scenes, tmp_path / "used")
    for label, others, change in (
        ("seed", scenes, {}),
        ("scenes", scenes[1:], {}),
        ("weight", scenes, {"bbox_weight": 2.0}),
    ):
        seed = 1 if label == "seed" else 0
        fresh = _fit(small("fast", **settings, **change), others, tmp_path / label, seed)
        used = _fit(small("fast", **settings, **change), others, tmp_path / "used", seed)
        assert all(torch.equal(used[key], value) for key, value in fresh.items())


def _tiny(levels: tuple[int, ...], widths: tuple[int, int], *, pretrained: bool = True) -> Backbone:
    """One convolution and fc layers of its own that take `levels` of its four channels."""
    stack = FcStack(levels, widths)
    geometry = Geometry(channels=4, stride_px=16, cell0_px=3.0, crop_px=64, pooled=6, relative_size=0.25, fc=stack)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), nn.ReLU())
    weights = {key: torch.randn(shape, generator=_seed(1)) / 10 for key, shape in stack.shapes(4).items()}
    convention = InputConvention("RGB", 255, (128.0, 128.0, 128.0), (64.0, 64.0, 64.0))
    return Backbone(
        "tiny", features, geometry, convention, "0" * 64, layers=("conv1",), fc_weights=weights if pretrained else None
    )


def _on(backbone: Backbone, **settings: Any) -> Any:
    return fast.FastRCNN(8, replace(_CONFIG, **({"iterations": 1} | settings)), backbone, torch.device("cpu"))


def test_pretrained_fc_layers_are_taken_where_they_fit(scenes: Scenes, tmp_path: Path) -> None:
    """fc6 and fc7 of a network that takes the one grid start as they are and learn at the paper's rate."""
    backbone = _tiny((6,), (24, 16))
    assert backbone.fc_weights is not None
    frozen = replace(_CONFIG.sgd, lr=0.0)
    tensors = _fit(_on(backbone, sgd=frozen), scenes, tmp_path)
    for key, value in backbone.fc_weights.items():
        assert torch.equal(tensors[f"head.{key}"], value)
    assert float(tensors["head.input_factor"]) == 1
    tensors = _fit(_on(backbone, sgd_random_fc=frozen), scenes, tmp_path / "learnt")
    assert not torch.equal(tensors["head.fc6.weight"], backbone.fc_weights["fc6.weight"])


@pytest.mark.parametrize(
    ("levels", "width", "pretrained"), [((1, 2, 3, 6), None, True), ((6,), 20, True), ((6,), None, False)]
)
def test_fc_layers_start_random_where_none_fit(
    levels: tuple[int, ...], width: int | None, pretrained: bool, scenes: Scenes, tmp_path: Path
) -> None:
    """A pyramid's fc6, another width or a file without them: fc6 starts random, with the widths that were asked for."""
    detector = _on(_tiny(levels, (24, 16), pretrained=pretrained), fc_width=width, sgd_random_fc=_NO_DESCENT)
    tensors = _fit(detector, scenes, tmp_path)
    assert tensors["head.fc6.weight"].shape == (width or 24, 4 * 36)
    assert tensors["head.fc7.weight"].shape == (width or 16, width or 24)
    assert float(tensors["head.fc6.weight"].std()) == pytest.approx((2 / 144) ** 0.5, rel=0.05)
    assert float(tensors["head.input_factor"]) != 1


def test_a_published_width_keeps_the_published_ranks(scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with fc layers of its own is cut to 1,024 and 256, and in proportion at another width."""
    asked = []
    monkeypatch.setattr(fast, "compress", lambda head, ranks: (asked.append(ranks), head)[1])
    for width in (None, 1024):
        _on(_tiny((6,), (24, 16)), svd_ranks=(1024, 256), fc_width=width).initialise(generator=_seed())
    assert asked == [(1024, 256), (256, 64)]


@pytest.mark.parametrize(("centred", "offset_px"), [(True, 3.0), (False, 0.0)])
def test_centre_of_cell_0(centred: bool, offset_px: float, scenes: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions are pooled about the backbone's own cell centres, or as if cell 0 looked at pixel 0, as released."""
    pool, asked = fast.roi_pool, []

    def watched(*args: Any, **settings: Any) -> torch.Tensor:
        asked.append((settings["offset_px"], settings["stride"], settings["size"]))
        return pool(*args, **settings)

    monkeypatch.setattr(fast, "roi_pool", watched)
    detector = _on(_tiny((6,), (24, 16)), cell_centres=centred)
    detector.initialise(generator=_seed())
    detector.detect(scenes[0].image, scenes[0].proposals)
    assert set(asked) == {(offset_px, 16, 6)}


@pytest.mark.parametrize("name", ["fast", "fast:5:svd", "fast:svm", "fast:classes", "fast:stage-wise"])
def test_initialising_detects_every_class(name: str, small: Make, scenes: Scenes) -> None:
    """A network of random numbers scores and moves all boxes for all classes; one seed gives one network."""
    found = []
    for seed in (0, 0, 1):
        detector = small(name)
        detector.initialise(generator=_seed(seed))
        found.append(_scores(detector, scenes[0]))
    assert found[0][0].isfinite().all()
    assert found[0][1].isfinite().all()
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][1], found[2][1])


@pytest.mark.parametrize(("height", "width"), [(1, 4000), (4000, 1), (1, 1), (3, 2)])
@pytest.mark.parametrize("name", ["fast", "fast:5"])
def test_images_of_any_shape(name: str, height: int, width: int, small: Make) -> None:
    """A line of pixels and a single one give finite scores and boxes inside the image."""
    detector = small(name)
    detector.initialise(generator=_seed())
    image = torch.randint(256, (3, height, width), generator=_seed(), dtype=torch.uint8)
    proposals = torch.tensor([[0.0, 0.0, width, height], [0.0, 0.0, 1.0, 1.0]])
    boxes, scores = detector.score(image, proposals)
    assert scores.isfinite().all()
    assert (boxes >= 0).all()
    assert (boxes <= torch.tensor([width, height, width, height])).all()


def test_no_proposals_score_to_nothing(fitted: Make, scenes: Scenes) -> None:
    """Empty in, empty out, in the right shapes."""
    boxes, scores = fitted("fast").score(scenes[0].image, torch.zeros(0, 4))
    assert (boxes.shape, scores.shape) == ((0, 8, 4), (0, 8))


class _Waits(TorchDispatchMode):
    """Notes each operation after which the host must know what the device found."""

    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self.ear, self.heard = ear, list[tuple[Stage, str]]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name == "index" and any(one is not None and one.dtype == torch.bool for one in args[1])
        if self.ear.open and (by_mask or name in {"_local_scalar_dense", "nonzero", "masked_select", "_unique2"}):
            self.heard.append((self.ear.open[-1], name))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["fast", "fast:5:svd"])
def test_nothing_waits_for_the_device_before_the_suppression(name: str, small: Make, scenes: Scenes) -> None:
    """From PREPARE to DECODE no operation reads a value back or has a size that depends on one."""
    detector = small(name)
    detector.initialise(generator=_seed())
    ear = Ear()
    with listening(ear), _Waits(ear) as waits:
        detector.detect(scenes[0].image, scenes[0].proposals)
    assert {stage for stage, _ in waits.heard} <= {Stage.SUPPRESS}
