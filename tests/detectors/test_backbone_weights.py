"""Backbones: weights from Caffe's files, torchvision's keys, and the fc layers that come with either."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from detectors.parts import backbones
from detectors.parts.backbones import FcStack, WeightsError

State = dict[str, torch.Tensor]
_BGR = "BGR 0-255 minus (104,117,123)"
_WIDTHS = (5, 4)
_FC = ("fc6.weight", "fc6.bias", "fc7.weight", "fc7.bias")


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with 5 and 4 outputs of fc6 and fc7: nothing here depends on how many there are."""
    for name, architecture in list(backbones._ARCHITECTURES.items()):
        if architecture.geometry.fc is not None:
            geometry = replace(architecture.geometry, fc=FcStack(architecture.geometry.fc.levels, _WIDTHS))
            monkeypatch.setitem(backbones._ARCHITECTURES, name, replace(architecture, geometry=geometry))


def _state(name: str, seed: int = 1) -> State:
    """All tensors of a network, fc layers too, by the keys here, no two alike, biases not 0."""
    network = backbones.load(name, "random", generator=_generator())
    state = {f"features.{key}": value for key, value in network.features.state_dict().items()}
    if network.geometry.fc is not None:
        state |= {
            key: torch.zeros(shape) for key, shape in network.geometry.fc.shapes(network.geometry.channels).items()
        }
    generator = _generator(seed)
    return {key: torch.randn(value.shape, generator=generator) * 0.05 for key, value in state.items()}


def _load(name: str, path: Path) -> backbones.Backbone:
    backbones.check(name, str(path))
    return backbones.load(name, str(path), generator=_generator(9))


def _assert_loaded(network: backbones.Backbone, state: State) -> None:
    for key, value in network.features.state_dict().items():
        assert torch.equal(value, state[f"features.{key}"])
    assert network.fc_weights is not None
    assert tuple(network.fc_weights) == _FC
    assert all(torch.equal(network.fc_weights[key], state[key]) for key in _FC)


def _assert_refused(name: str, path: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        backbones.load(name, str(path), generator=_generator())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# safetensors, with the keys here.


@pytest.mark.parametrize("name", ["alexnet", "caffenet", "zf5", "vgg-m", "vgg16"])
def test_fc_weights_come_with_the_features(name: str, tmp_path: Path) -> None:
    """All four tensors are there beside the layers, to the bit, in float32."""
    state = _state(name)
    save_file(state, tmp_path / "weights", {"input": _BGR})
    network = _load(name, tmp_path / "weights")
    _assert_loaded(network, state)
    assert str(network.convention) == _BGR
    assert network.pretrained


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.tensor(float("nan")), "'features.*weight' has a value that is not finite"),
        (torch.tensor(float("-inf")), "'features.*weight' has a value that is not finite"),
        (torch.tensor(3), "'features.*weight' is of torch.int64, not of floating-point numbers"),
    ],
)
def test_what_are_no_finite_numbers_is_refused(value: torch.Tensor, message: str, tmp_path: Path) -> None:
    """One such weight makes a network that finds nothing, without an error."""
    state = _state("alexnet")
    key = next(key for key in state if key.startswith("features.") and key.endswith("weight"))
    spoilt = state[key].to(value.dtype)
    spoilt.view(-1)[7] = value
    save_file({**state, key: spoilt}, tmp_path / "weights", {"input": _BGR})
    _assert_refused("alexnet", tmp_path / "weights", message)


def test_features_alone_are_enough(tmp_path: Path) -> None:
    """A file without fc layers gives none, and neither do random weights."""
    state = {key: value for key, value in _state("zf5").items() if key not in _FC}
    save_file(state, tmp_path / "weights", {"input": _BGR})
    assert _load("zf5", tmp_path / "weights").fc_weights is None
    assert backbones.load("zf5", "random", generator=_generator()).fc_weights is None


@pytest.mark.parametrize("missing", _FC)
def test_half_an_fc_stack_is_refused(missing: str, tmp_path: Path) -> None:
    """Some of the four tensors without the others are a broken file and not a network without fc layers."""
    state = _state("caffenet")
    del state[missing]
    save_file(state, tmp_path / "weights", {"input": _BGR})
    _assert_refused("caffenet", tmp_path / "weights", f"has no tensor '{missing}'")


def test_fc_layers_of_another_network_are_refused(tmp_path: Path) -> None:
    """R-CNN's fc6 behind a 6x6 grid is not SPP-net's behind 50 bins; the message has both shapes."""
    wrong = _state("zf5") | {"fc6.weight": torch.zeros(5, 256 * 36)}
    save_file(wrong, tmp_path / "weights", {"input": _BGR})
    message = r"'fc6.weight' has shape \(5, 9216\), the network needs \(5, 12800\)"
    _assert_refused("zf5", tmp_path / "weights", message)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    """float16 tensors become float32, the fc tensors too."""
    state = _state("caffenet")
    save_file({key: value.half() for key, value in state.items()}, tmp_path / "weights", {"input": _BGR})
    _assert_loaded(_load("caffenet", tmp_path / "weights"), {key: value.half().float() for key, value in state.items()})


def test_the_digest_covers_the_fc_layers(tmp_path: Path) -> None:
    """It changes with one number of fc7, and with the fc layers being there at all."""
    state, digests = _state("caffenet"), []
    changed = state | {"fc7.bias": state["fc7.bias"] + 1}
    without = {key: value for key, value in state.items() if key not in _FC}
    for index, variant in enumerate((state, changed, without, state | {"fc8.bias": torch.zeros(2)})):
        save_file(variant, tmp_path / str(index), {"input": _BGR})
        digests.append(_load("caffenet", tmp_path / str(index)).weights)
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


# torchvision's keys.

_CLASSIFIER = {"alexnet": ("classifier.1", "classifier.4"), "vgg16": ("classifier.0", "classifier.3")}


def _torchvision(name: str, state: State) -> State:
    """`state` by the keys that torchvision's own network has, which are in the same order."""
    with torch.device("meta"):
        keys = list(getattr(models, name)().state_dict())
    features = [key for key in keys if key.startswith("features.")]
    fc6, fc7 = _CLASSIFIER[name]
    fc = [f"{layer}.{kind}" for layer in (fc6, fc7) for kind in ("weight", "bias")]
    assert set(fc) < set(keys)
    return dict(zip(features + fc, state.values(), strict=True)) | {"classifier.6.bias": torch.zeros(3)}


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_a_file_may_have_torchvisions_keys(name: str, tmp_path: Path) -> None:
    """Numbered layers are found as well as named ones, with the same digest."""
    state = _state(name)
    save_file(state, tmp_path / "ours", {"input": _BGR})
    save_file(_torchvision(name, state), tmp_path / "theirs", {"input": _BGR})
    theirs = _load(name, tmp_path / "theirs")
    _assert_loaded(theirs, state)
    assert theirs.weights == _load(name, tmp_path / "ours").weights


def test_errors_name_the_key_that_is_in_the_file(tmp_path: Path) -> None:
    """A wrong shape is reported under torchvision's key where the file has that one."""
    state = _torchvision("vgg16", _state("vgg16"))
    save_file(state | {"features.2.weight": torch.zeros(64, 64, 5, 5)}, tmp_path / "weights", {"input": _BGR})
    message = r"'features.2.weight' has shape \(64, 64, 5, 5\), the network needs \(64, 64, 3, 3\)"
    _assert_refused("vgg16", tmp_path / "weights", message)
    del state["classifier.3.bias"]
    save_file(state, tmp_path / "weights", {"input": _BGR})
    _assert_refused("vgg16", tmp_path / "weights", "has no tensor 'fc7.bias'")


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_the_layers_are_torchvisions(name: str, tmp_path: Path) -> None:
    """With one set of weights both give one feature map, here of a crop whose sides need no rounding."""
    state = _state(name)
    save_file(state, tmp_path / "weights", {"input": _BGR})
    with torch.device("meta"):
        theirs = getattr(models, name)().features[:-1]  # without the last pooling
    theirs.to_empty(device="cpu")
    stored = _torchvision(name, state)
    theirs.load_state_dict({key: stored[f"features.{key}"] for key in theirs.state_dict()})
    sides = (64, 96) if name == "vgg16" else (95, 127)
    pixels = torch.randn(1, 3, *sides, generator=_generator(2))
    with torch.no_grad():
        torch.testing.assert_close(_load(name, tmp_path / "weights")(pixels), theirs(pixels))


def test_torchvisions_weights_are_read_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` and `torchvision` take the file that torchvision keeps, with its convention and its fc layers."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = _state("alexnet")
    path = tmp_path / "hub" / "checkpoints" / models.AlexNet_Weights.DEFAULT.url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(_torchvision("alexnet", state), path)
    for weights in ("auto", "torchvision"):
        network = backbones.load("alexnet", weights, generator=_generator())
        _assert_loaded(network, state)
        assert str(network.convention) == "RGB 0-1 minus (0.485,0.456,0.406) over (0.229,0.224,0.225)"


def test_an_unreachable_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what could not be fetched from where, and what to do instead."""

    def fail(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(WeightsError, match=r"weights for vgg16 .* from https://.*no route to host.* --weights FILE"):
        backbones.load("vgg16", "auto", generator=_generator())


# Caffe's files.


def _varint(number: int) -> bytes:
    out = b""
    while number >= 128:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _blob(values: torch.Tensor, *, legacy: bool) -> bytes:
    """A BlobProto: data is field 5; its shape is field 7, or num, channels, height and width, fields 1 to 4."""
    if legacy:
        sides = (1,) * (4 - values.ndim) + tuple(values.shape)
        shape = b"".join(_varint(index << 3) + _varint(side) for index, side in enumerate(sides, start=1))
    else:
        shape = _field(7, _field(1, b"".join(_varint(side) for side in values.shape)))
    return shape + _field(5, values.numpy().astype("<f4").tobytes())


def _write_caffe(path: Path, layers: dict[str, list[torch.Tensor]], *, legacy: bool = False) -> None:
    """A NetParameter whose field 100 holds LayerParameters: name is field 1, blobs are field 7 (caffe.proto)."""
    content = _field(1, b"net")
    for name, blobs in layers.items():
        encoded = b"".join(_field(7, _blob(blob, legacy=legacy)) for blob in blobs)
        content += _field(100, _field(1, name.encode()) + encoded)
    path.write_bytes(content)


def _layers(state: State) -> dict[str, list[torch.Tensor]]:
    """Weight and bias by Caffe's name of the layer."""
    names = dict.fromkeys(key.removeprefix("features.").split(".")[0] for key in state)
    found = {key.removeprefix("features."): value for key, value in state.items()}
    return {name: [found[f"{name}.weight"], found[f"{name}.bias"]] for name in names}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["caffenet", "zf5"])
def test_a_caffemodel_is_loaded_layer_by_layer(name: str, legacy: bool, tmp_path: Path) -> None:
    """Every blob is where its name says, whether its shape has four numbers as in 2014 or as many as it needs."""
    state, path = _state(name), tmp_path / "net.caffemodel"
    _write_caffe(path, _layers(state) | {"fc8": [torch.zeros(3, 4)], "cls_score": [torch.zeros(1)]}, legacy=legacy)
    network = _load(name, path)
    _assert_loaded(network, state)
    assert network.convention == backbones.load(name, "random", generator=_generator()).convention
    assert network.for_images().fc_weights is network.fc_weights


def test_vgg16_of_caffe_wants_caffes_pixels(tmp_path: Path) -> None:
    """The same network from a Caffe file takes BGR of 0-255, which torchvision's weights do not."""
    state, path = _state("vgg16"), tmp_path / "VGG16.v2.caffemodel"
    _write_caffe(path, _layers(state))
    network = _load("vgg16", path)
    _assert_loaded(network, state)
    assert str(network.convention) == "BGR 0-255 minus (102.9801,115.9465,122.7717)"


def test_one_set_of_weights_has_one_digest_in_either_kind_of_file(tmp_path: Path) -> None:
    """The digest is of the numbers, not of the file."""
    state = _state("vgg-m")
    _write_caffe(tmp_path / "m.caffemodel", _layers(state))
    save_file(state, tmp_path / "m.safetensors", {"input": _BGR})
    first, second = (_load("vgg-m", tmp_path / f"m.{kind}") for kind in ("caffemodel", "safetensors"))
    assert first.weights == second.weights


def test_a_caffemodel_may_lack_the_fc_layers(tmp_path: Path) -> None:
    """So does one whose fc layers were factored: fc6_L and fc6_U are not fc6."""
    layers, path = _layers(_state("caffenet")), tmp_path / "net.caffemodel"
    del layers["fc6"], layers["fc7"]
    _write_caffe(path, layers | {"fc6_L": [torch.zeros(2, 3)], "fc6_U": [torch.zeros(3, 2), torch.zeros(3)]})
    assert _load("caffenet", path).fc_weights is None


def test_a_caffemodel_of_another_network_is_refused(tmp_path: Path) -> None:
    """A layer that is missing, has another shape or the wrong number of blobs is named, with the file."""
    layers, path = _layers(_state("caffenet")), tmp_path / "net.caffemodel"
    _write_caffe(path, _layers(_state("zf5")))
    message = r"'features.conv1.weight' has shape \(96, 3, 7, 7\), the network needs \(96, 3, 11, 11\)"
    _assert_refused("caffenet", path, message)
    _write_caffe(path, {name: blobs for name, blobs in layers.items() if name != "conv4"})
    _assert_refused("caffenet", path, "has no tensor 'features.conv4.weight'; is it for another network")
    _write_caffe(path, layers | {"conv3": layers["conv3"][:1]})
    _assert_refused("caffenet", path, "layer 'conv3': expected two blobs, weight and bias, got 1")
    _write_caffe(path, layers | {"fc7": [torch.zeros(4, 7), torch.zeros(4)]})
    _assert_refused("caffenet", path, r"'fc7.weight' has shape \(4, 7\), the network needs \(4, 5\)")
    _write_caffe(path, layers | {"conv1": [torch.zeros(2, 1, 96), layers["conv1"][1]]})
    _assert_refused("caffenet", path, r"'features.conv1.weight' has shape \(2, 1, 96\)")


def test_an_ungrouped_layer_does_not_fit_a_grouped_one(tmp_path: Path) -> None:
    """AlexNet without groups has conv2 of 96 inputs, which is not the sum of two of 48."""
    layers, path = _layers(_state("caffenet")), tmp_path / "net.caffemodel"
    _write_caffe(path, layers | {"conv2": [torch.zeros(256, 96, 5, 5), torch.zeros(256)]})
    message = r"'features.conv2.weight' has shape \(256, 96, 5, 5\), the network needs \(256, 48, 5, 5\)"
    _assert_refused("caffenet", path, message)


@pytest.mark.parametrize("name", ["mini", "squeezenet1_0", "squeezenet1_1", "alexnet"])
def test_networks_of_others_take_no_caffemodel(name: str, tmp_path: Path) -> None:
    """Before anything is built: no file of Caffe's holds them, and it would not say their input convention."""
    path = tmp_path / "net.caffemodel"
    _write_caffe(path, {"conv1": [torch.zeros(2)]})
    for refuse in (backbones.check, lambda *asked: backbones.load(*asked, generator=_generator())):
        with pytest.raises(WeightsError, match=rf"^{name} .* no net.caffemodel; give a .safetensors file$") as caught:
            refuse(name, str(path))
        assert "\n" not in str(caught.value)


def test_what_is_no_caffemodel_is_refused_early(tmp_path: Path) -> None:
    """Neither a cut file nor text passes the check, and the path stands in the one line once."""
    path = tmp_path / "net.caffemodel"
    _write_caffe(path, {"conv1": [torch.zeros(20)]})
    for content in (path.read_bytes()[:-7], struct.pack("<I", 7) * 9, b"layer { name: 'conv1' }"):
        path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            backbones.check("caffenet", str(path))
        assert str(caught.value).count(str(path)) == 1
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="no weights file"):
        backbones.check("caffenet", str(tmp_path / "other.caffemodel"))


def test_a_file_in_place_is_not_written_to(tmp_path: Path) -> None:
    """The fc tensors may be mapped from the file: changing them leaves it as it was."""
    path, state = tmp_path / "weights.safetensors", _state("caffenet")
    save_file(state, path, {"input": _BGR})
    before = np.fromfile(path, np.uint8)
    fc_weights = _load("caffenet", path).fc_weights
    assert fc_weights is not None
    fc_weights["fc6.weight"].zero_()
    assert np.array_equal(np.fromfile(path, np.uint8), before)
