"""SPP-net's settings, sizes and fits, on a random `mini` and on the papers' networks without their weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

import detectors
from detectors import spp
from detectors.contract import Example, FitError, SettingsError, fit_settings
from detectors.parts import pooling, sgd
from detectors.parts.backbones import Backbone
from detectors.parts.boxes import clip
from detectors.parts.scales import SCALES_CODE, SCALES_PAPER, ImagePyramid, Rule
from detectors.spp import SPP, SPPConfig

Scenes = tuple[Example, ...]
_CPU = torch.device("cpu")
_CLASSES = 8


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _random(name: str) -> Backbone:
    return detectors.load_backbone(name, "random", generator=_generator())


def _config(variants: str = "", **settings: Any) -> SPPConfig:
    config = detectors.load(f"spp:{variants}" if variants else "spp").config
    small: SPPConfig = replace(config, **({"iterations": 3, "fc_width": 32} | settings))
    return small


def _initialised(backbone: Backbone, variants: str = "", **settings: Any) -> SPP:
    detector = SPP(_CLASSES, _config(variants, **settings), backbone, _CPU)
    detector.initialise(generator=_generator())
    return detector


def _fit(backbone: Backbone, config: SPPConfig, scenes: Scenes, workdir: Path) -> SPP:
    detector = SPP(_CLASSES, config, backbone, _CPU)
    detector.fit(scenes, generator=_generator(), workdir=workdir)
    return detector


def _saved(detector: SPP, path: Path) -> dict[str, torch.Tensor]:
    detector.save(path)
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def _beside(detector: SPP, backbone: Backbone, folder: Path, **settings: Any) -> SPP:
    """A detector with other settings and the same weights."""
    other = SPP(_CLASSES, replace(detector.config, **settings), backbone, _CPU)
    detector.save(folder / "model")
    other.restore(folder / "model")
    return other


def test_the_published_schedule() -> None:
    """250k mini-batches at 1e-4 for all three fc layers, then 50k at a tenth; 32 of 128 are objects [SPP 4.1]."""
    config = SPPConfig()
    assert (config.sgd.lr, config.sgd.new_layer_factor, config.sgd.lr_drop) == (1e-4, 1.0, 0.1)
    assert [round(share * config.iterations) for share in config.sgd.lr_drops_at] == [250_000]
    assert config.iterations == 300_000
    assert (config.sampling.regions, config.sampling.foreground, config.sampling.background_iou) == (128, 32, 0.1)
    assert (config.ridge.ridge_lambda, config.ridge.min_iou, config.svm.negative_overlap) == (4000, 0.5, 0.7)
    assert (config.scales_px, config.mapping, config.layer, config.bb) == ((688,), "v4", "ftfc7", True)


def test_variants_can_be_chained() -> None:
    """``spp:5:pool5`` is five scales and the row pool5; ``spp:5-code:code`` all as released."""
    both = detectors.load("spp:5:pool5").config
    assert (both.scales_px, both.scale_rule, both.layer, both.bb) == (SCALES_PAPER, "paper", "pool5", False)
    released = detectors.load("spp:5-code:code").config
    assert (released.scales_px, released.scale_rule, released.mapping) == (SCALES_CODE, "code", "code")
    assert [detectors.load(f"spp:{row}").config.layer for row in ("fc6", "ftfc6", "ftfc7")] == ["fc6", "ftfc6", "ftfc7"]


def test_zf5_has_its_own_pyramid_and_others_the_paper_s() -> None:
    """ZF-5's fc6 takes 50 bins joined from coarse to fine, 12,800 features; other networks get 6, 3, 2, 1 [SPP 4.1]."""
    assert SPP(20, SPPConfig(), _random("zf5"), _CPU).levels == (1, 2, 3, 6)
    assert SPP(20, SPPConfig(), _random("caffenet"), _CPU).levels == (6, 3, 2, 1)
    assert SPP(20, SPPConfig(levels=(4, 2, 1)), _random("zf5"), _CPU).levels == (4, 2, 1)
    detector = _initialised(_random("zf5"), scales_px=(96,))
    scene = torch.zeros(3, 60, 80, dtype=torch.uint8)
    shapes = []

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = func(*args, **(kwargs or {}))
            shapes.append(getattr(found, "shape", None))
            return found

    with Seen():  # type: ignore[no-untyped-call]
        detector.score(scene, torch.tensor([[0.0, 0.0, 80.0, 60.0]] * 3))
    assert torch.Size((3, 12_800)) in shapes


@pytest.mark.parametrize(("mapping", "cell0_px", "side"), [("v4", 0.0, 44), ("v2", 20.0, 42), ("code", 20.0, 42)])
def test_mapping_decides_the_padding_of_zf5(
    mapping: str, cell0_px: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v4 pads by half of every kernel, so that cell 0 is on pixel 0; the others as in training, on pixel 20.

    688 px: 344, 173, 87, 44 cells behind conv1, pool1, conv2, pool2; in training 342, 171, 84, 42.
    """
    asked: list[dict[str, Any]] = []

    class Stop(Exception):
        pass

    def seen(boxes: torch.Tensor, **how: Any) -> torch.Tensor:
        asked.append(how)
        raise Stop

    monkeypatch.setattr(spp, "map_windows", seen)
    with pytest.raises(Stop):
        _initialised(_random("zf5"), mapping=mapping)
    assert asked == [{"stride": 16, "offset_px": cell0_px, "height": side, "width": side, "rule": mapping}]


_WEIGHTLESS = "layer fc6 of SPP-net is fc6 as pretrained, and {}; take ftfc6, which is fine-tuned"


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("mini", {}, "mini has no fc layers"),
        ("zf5", {}, "the weights of zf5 hold none"),
        ("zf5", {"levels": (6, 3, 2, 1)}, "that of zf5 takes the pyramid (1, 2, 3, 6), not (6, 3, 2, 1)"),
        ("zf5", {"fc_width": 64}, "that of zf5 has 4096 outputs, not 64"),
        ("caffenet", {}, "that of caffenet takes the pyramid (6,), not (6, 3, 2, 1)"),
    ],
)
def test_fc6_without_pretrained_fc_layers_is_refused(name: str, settings: dict[str, Any], reason: str) -> None:
    """Random fc layers that are never trained are no row of Table 9; the message says what is missing."""
    with pytest.raises(SettingsError) as caught:
        SPP(20, replace(detectors.load("spp:fc6").config, **settings), _random(name), _CPU)
    assert str(caught.value) == _WEIGHTLESS.format(reason)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": "fc8"}, "layer of SPP-net: expected pool5, fc6, ftfc6, ftfc7; got 'fc8'"),
        ({"mapping": "v3"}, "mapping of SPP-net: expected v4, v2, code; got 'v3'"),
        ({"scale_rule": "max"}, "scale_rule of SPP-net: expected paper, code; got 'max'"),
        ({"scales_px": ()}, r"scales_px of SPP-net: expected numbers from 1 up; got \(\)"),
        ({"levels": (3, 0)}, r"levels of SPP-net: expected numbers from 1 up; got \(3, 0\)"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str, backbone: Backbone) -> None:
    """In one line, before any work."""
    with pytest.raises(SettingsError, match=message):
        SPP(20, SPPConfig(**settings), backbone, _CPU)


def test_fc6_takes_the_pretrained_layer_as_it_is(scenes: Scenes, tmp_path: Path) -> None:
    """Without fine-tuning fc6 is the network's own to the bit, and pooled features are not rescaled."""
    backbone = _random("zf5")
    stack = replace(backbone.geometry.fc, widths=(16, 8)) if backbone.geometry.fc is not None else None
    geometry = replace(backbone.geometry, fc=stack)
    shapes = {} if stack is None else stack.shapes(256)
    weights = {key: torch.randn(shape, generator=_generator()) * 0.01 for key, shape in shapes.items()}
    narrow = Backbone("zf5", backbone.features, geometry, backbone.convention, "0" * 64, fc_weights=weights)
    config = _config("fc6", fc_width=None, scales_px=(96,))
    tensors = _saved(_fit(narrow, config, scenes[:2], tmp_path), tmp_path / "model")
    assert torch.equal(tensors["head.fc6.weight"], weights["fc6.weight"])
    assert float(tensors["head.input_factor"]) == 1
    assert tensors["posthoc.svm_weight"].shape == (16, _CLASSES)


@pytest.mark.parametrize(("row", "width"), [("pool5", 64 * 50), ("ftfc6", 32), ("ftfc7", 32)])
def test_rows_of_table_9(row: str, width: int, scenes: Scenes, backbone: Backbone, tmp_path: Path) -> None:
    """SVMs see the row's layer, regressors always the pooled features; pool5 has no fc layers at all."""
    detector = _fit(backbone, _config(row, scales_px=(400,)), scenes[:3], tmp_path)
    tensors = _saved(detector, tmp_path / "model")
    assert tensors["posthoc.svm_weight"].shape == (width, _CLASSES)
    assert tensors["posthoc.ridge_weight"].shape == (64 * 50, 4 * _CLASSES)
    assert any(key.startswith("head.") for key in tensors) == (row != "pool5")
    scene = scenes[0]
    boxes, scores = detector.score(scene.image, scene.proposals)
    height, width = scene.image.shape[1:]
    assert torch.equal(boxes, clip(scene.proposals, height, width)[:, None].expand(-1, _CLASSES, 4))
    moved, same = _beside(detector, backbone, tmp_path, bb=True).score(scene.image, scene.proposals)
    assert torch.equal(scores, same)
    assert not torch.equal(moved, boxes)
    assert len(detector.detect(scene.image, scene.proposals).scores)


def test_box_regression_and_precision_share_a_fit() -> None:
    """Settings that only detecting depends on are left out of what decides a fit."""
    config = SPPConfig()
    assert fit_settings(config) == fit_settings(replace(config, bb=False, bf16=True))
    assert fit_settings(config) != fit_settings(replace(config, layer="ftfc6"))


@pytest.mark.parametrize(("variants", "rule"), [("5", "paper"), ("5-code", "code")])
def test_five_scales_score_each_box_at_its_own(
    variants: str, rule: Rule, scenes: Scenes, backbone: Backbone, tmp_path: Path
) -> None:
    """Pyramids are those of a detector with that one scale, to the bit; scores and boxes as near as sums allow."""
    detector, scene = _initialised(backbone, variants), scenes[0]
    scales_px = detector.config.scales_px
    pyramid = ImagePyramid.of(scene.image.float(), scales_px, relative_size=64 / 224)
    chosen = pyramid.choose(scene.proposals, rule)
    assert len(chosen.unique()) >= 3
    boxes, scores = detector.score(scene.image, scene.proposals)
    network = detector._build()
    with torch.inference_mode():
        _, pooled = detector.describe(network, scene.image, scene.proposals, scales_px)
        for which, scale_px in enumerate(scales_px):
            mine = chosen == which
            _, alone = detector.describe(network, scene.image, scene.proposals, (scale_px,))
            assert torch.equal(pooled[mine], alone[mine])
            single = _beside(detector, backbone, tmp_path, scales_px=(scale_px,))
            boxes_alone, scores_alone = single.score(scene.image, scene.proposals)
            torch.testing.assert_close(scores[mine], scores_alone[mine], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(boxes[mine], boxes_alone[mine], rtol=1e-4, atol=1e-3)


def test_detecting_after_a_fit_with_five_scales(scenes: Scenes, backbone: Backbone, tmp_path: Path) -> None:
    """A fit draws the scale of every image at random, and detection takes the best of each box."""
    detector = _fit(backbone, _config("5", iterations=2), scenes[:2], tmp_path)
    found = detector.detect(scenes[0].image, scenes[0].proposals)
    assert len(found.scores) > 0
    assert found.scores.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(1, 4000), (4000, 1), (1, 1), (3, 700), (120, 160)])
@pytest.mark.parametrize("variants", ["5", "5-code:code", "v2"])
def test_images_of_any_shape_and_boxes_at_their_border(
    height: int, width: int, variants: str, backbone: Backbone
) -> None:
    """One-pixel boxes in every corner, the whole image and empty boxes are scored with finite numbers."""
    image = torch.randint(256, (3, height, width), generator=_generator(), dtype=torch.uint8)
    right, low = float(width), float(height)
    boxes = torch.tensor(
        [
            [0.0, 0.0, 1.0, 1.0],
            [right - 1, 0.0, right, 1.0],
            [0.0, low - 1, 1.0, low],
            [right - 1, low - 1, right, low],
            [0.0, 0.0, right, low],
            [0.0, 0.0, 0.0, 0.0],
            [right, low, right, low],
        ]
    )
    moved, scores = _initialised(backbone, variants).score(image, boxes)
    assert moved.shape == (7, _CLASSES, 4)
    assert moved.isfinite().all()
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", ["squeezenet1_0", "zf5"])
def test_thin_images_are_stretched_to_one_cell(name: str) -> None:
    """Networks without padding need some pixels for a cell; a thin image gives a result there, too."""
    detector = _initialised(_random(name), mapping="v2", scales_px=(8,))
    _, scores = detector.score(torch.zeros(3, 2, 50, dtype=torch.uint8), torch.tensor([[0.0, 0.0, 50.0, 2.0]]))
    assert scores.isfinite().all()


def test_bfloat16_scores_like_float32_and_saves_float32(scenes: Scenes, backbone: Backbone, tmp_path: Path) -> None:
    """bfloat16 has 8 bits: scores agree to a few per cent of their spread, and the file does not know of it."""
    exact = _initialised(backbone)
    rough = _beside(exact, backbone, tmp_path, bf16=True)
    _, expected = exact.score(scenes[0].image, scenes[0].proposals)
    _, found = rough.score(scenes[0].image, scenes[0].proposals)
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.05 * expected.std()
    tensors, again = load_file(tmp_path / "model"), _saved(rough, tmp_path / "again")
    assert all(torch.equal(tensors[key], again[key]) for key in tensors)


@pytest.mark.parametrize("stop_at", [1, 4, 7, 9])
def test_a_stopped_fine_tuning_goes_on_to_the_same_bits(
    stop_at: int, scenes: Scenes, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped inside a buffer or between two, before the first checkpoint or after: the model is the unbroken one."""
    monkeypatch.setattr(sgd, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(spp, "_BUFFER_BYTES", 3 * 4 * 16 * 64 * 50)  # three mini-batches
    config = _config(scales_px=(200, 300, 400), iterations=10, sampling=replace(SPPConfig().sampling, regions=16))
    scenes = scenes[:3]
    unbroken = _saved(_fit(backbone, config, scenes, tmp_path / "unbroken"), tmp_path / "a")

    class Stop(Exception):
        pass

    original: Callable[[Any, int], torch.Tensor] = spp._Finetuning._loss
    taken: list[int] = []

    def loss(self: Any, iteration: int) -> torch.Tensor:
        taken.append(iteration)
        if iteration == stop_at and len(taken) == stop_at + 1:
            raise Stop
        return original(self, iteration)

    monkeypatch.setattr(spp._Finetuning, "_loss", loss)
    with pytest.raises(Stop):
        _fit(backbone, config, scenes, tmp_path / "stopped")
    stopped_after = len(taken)
    resumed = _saved(_fit(backbone, config, scenes, tmp_path / "stopped"), tmp_path / "b")
    assert taken[stopped_after] == stop_at // 2 * 2
    assert all(torch.equal(unbroken[key], resumed[key]) for key in unbroken)


def test_a_checkpoint_of_other_settings_is_not_taken_up(
    scenes: Scenes, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that holds another fit's checkpoint a fit gives what it gives in an empty one."""
    monkeypatch.setattr(sgd, "CHECKPOINT_EVERY", 1)
    scenes = scenes[:2]
    first, second = (_config(iterations=2, scales_px=(300,), mapping=rule) for rule in ("v4", "code"))
    _fit(backbone, first, scenes, tmp_path)
    found = _saved(_fit(backbone, second, scenes, tmp_path), tmp_path / "a")
    alone = _saved(_fit(backbone, second, scenes, tmp_path / "empty"), tmp_path / "b")
    assert all(torch.equal(found[key], alone[key]) for key in found)


def test_rows_that_differ_above_the_network_fine_tune_it_once(
    scenes: Scenes, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ftfc6 takes up what ftfc7 has left, or SVMs with another C; each learns what it learns alone."""
    monkeypatch.setattr(sgd, "CHECKPOINT_EVERY", 2)
    rows = (_config("ftfc7"), _config("ftfc6"), _config("ftfc7", svm=replace(SPPConfig().svm, c=0.1)))
    alone = [
        _saved(_fit(backbone, row, scenes[:3], tmp_path / str(place)), tmp_path / f"{place}-alone")
        for place, row in enumerate(rows)
    ]
    steps: list[int] = []
    original: Callable[[Any, int], torch.Tensor] = spp._Finetuning._loss
    monkeypatch.setattr(spp._Finetuning, "_loss", lambda self, step: steps.append(step) or original(self, step))
    for place, row in enumerate(rows):
        found = _saved(_fit(backbone, row, scenes[:3], tmp_path / "shared"), tmp_path / f"{place}-shared")
        assert all(torch.equal(found[key], alone[place][key]) for key in alone[place])
        for path in (tmp_path / "shared").iterdir():
            if not path.name.startswith("shared-"):
                path.unlink()  # a run hands on nothing else
    assert steps == [0, 1, 2]


@pytest.mark.parametrize("row", ["pool5", "ftfc7"])
def test_images_without_objects_cannot_be_fitted(row: str, scenes: Scenes, backbone: Backbone, tmp_path: Path) -> None:
    """Whether or not there are fc layers to train."""
    empty = [
        replace(one, boxes=one.boxes[:0], labels=one.labels[:0], difficult=one.difficult[:0]) for one in scenes[:2]
    ]
    with pytest.raises(FitError, match="no object to learn from"):
        _fit(backbone, _config(row), tuple(empty), tmp_path)


class _Waits(TorchDispatchMode):
    """Notes what would make the host wait for a device, or bring a tensor made on the host to it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if any(word in name for word in ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh")):
            self.found.append(name)
        elif "aten.index." in name and any(one is not None and one.dtype == torch.bool for one in args[1]):
            self.found.append(f"{name} by a mask")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("variants", ["", "5", "5-code:code", "pool5"])
def test_nothing_waits_for_the_device_before_suppression(
    variants: str, scenes: Scenes, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to scores and moved boxes no number is read back, and nothing is picked by a mask."""
    monkeypatch.setattr(pooling, "_reads_the_map_once", lambda windows: True)  # asks on a CPU alone
    detector = _initialised(backbone, variants)
    with _Waits() as waits:
        detector.score(scenes[0].image, scenes[0].proposals)
    assert waits.found == []
