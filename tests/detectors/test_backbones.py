"""Backbones: where their cells look, how they want their pixels, and where their weights come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from detectors.parts import backbones
from detectors.parts.backbones import InputConvention, WeightsError
from detectors.parts.backbones.convention import ConventionError

_IMAGENET = "RGB 0-1 minus (0.485,0.456,0.406) over (0.229,0.224,0.225)"
every_backbone = pytest.mark.parametrize("name", backbones.names())


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_names() -> None:
    """There are `mini`, four networks of torchvision's and the four of the papers; another name lists them."""
    known = ("mini", "squeezenet1_0", "squeezenet1_1", "alexnet", "caffenet", "zf5", "vgg-m", "vgg16")
    assert backbones.names() == known
    with pytest.raises(WeightsError, match=f"no backbone 'alex'; there are {', '.join(known)}"):
        backbones.load("alex", "random", generator=_generator())


@every_backbone
def test_a_network_is_ready_to_run(name: str) -> None:
    """It is in evaluation mode, knows its name, and its features are >= 0 with as many channels as stated."""
    network = backbones.load(name, "random", generator=_generator())
    pixels = torch.randn(2, 3, 48, 64, generator=_generator(3))
    with torch.no_grad():
        features = network(pixels)
    assert (network.name, network.training, network.pretrained) == (name, False, False)
    assert features.shape[:2] == (2, network.geometry.channels)
    assert features.min() >= 0
    assert features.max() > 0


# The input convention.

_DECIMALS = st.integers(0, 2_550_000).map(lambda value: value / 10_000)
_TRIPLES = st.tuples(_DECIMALS, _DECIMALS, _DECIMALS)
_POSITIVE = st.integers(1, 255_000).map(lambda value: value / 1000)
_CONVENTIONS = st.builds(
    InputConvention,
    order=st.sampled_from(["RGB", "BGR"]),
    maximum=st.sampled_from([255, 1]),
    mean=_TRIPLES,
    deviation=st.one_of(st.just((1.0, 1.0, 1.0)), st.tuples(_POSITIVE, _POSITIVE, _POSITIVE)),
)


@given(_CONVENTIONS)
def test_a_convention_survives_being_written(convention: InputConvention) -> None:
    """Parsing what a convention prints gives the same convention."""
    assert InputConvention.parse(str(convention)) == convention


@pytest.mark.parametrize(
    "text",
    [
        _IMAGENET,
        "BGR 0-255 minus (103.939,116.779,123.68)",
        "BGR 0-255 minus (102.9801,115.9465,122.7717)",
        "RGB 0-255 minus (128,128,128) over (64,64,64)",
    ],
)
def test_the_usual_conventions_print_as_they_are_written(text: str) -> None:
    """A line that was read is printed the same."""
    assert str(InputConvention.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RGB",
        "rgb 0-255 minus (1,2,3)",
        "RGB 0-2 minus (1,2,3)",
        "RGB 0-1 minus (1,2)",
        "RGB 0-1 minus (1,2,3,4)",
        "RGB 0-1 minus (a,b,c)",
        "RGB 0-1 minus (1,2,3) over 4",
        "RGB 0-1 minus (1,2,3) and more",
    ],
)
def test_what_is_no_convention_is_refused(text: str) -> None:
    """A line of another form is an error of one line, not a guess."""
    with pytest.raises(ConventionError) as caught:
        InputConvention.parse(text)
    assert "\n" not in str(caught.value)


@settings(max_examples=25)
@given(_CONVENTIONS, st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=6))
def test_pixels_are_turned_one_by_one(convention: InputConvention, colours: list[tuple[int, int, int]]) -> None:
    """Channel c of a pixel becomes (value / 255 * maximum - mean c) / deviation c, in the named order."""
    image = torch.tensor(colours, dtype=torch.uint8).T.reshape(3, 1, -1)
    found = convention.apply(image)
    assert found.dtype == torch.float32
    for x, rgb in enumerate(colours):
        named = rgb if convention.order == "RGB" else rgb[::-1]
        for c, value in enumerate(named):
            ranged = value if convention.maximum == 255 else value / 255
            expected = (ranged - convention.mean[c]) / convention.deviation[c]
            assert float(found[c, 0, x]) == pytest.approx(expected, rel=1e-4, abs=1e-4 / convention.deviation[c])


def test_bgr_puts_blue_first() -> None:
    """A red pixel is high in the last channel of a BGR network."""
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1)
    assert InputConvention.parse("BGR 0-255 minus (1,2,3)").apply(red).flatten().tolist() == [-1, -2, 252]
    assert InputConvention.parse("RGB 0-255 minus (1,2,3)").apply(red).flatten().tolist() == [254, -2, -3]


def test_torchvisions_networks_take_imagenets_convention() -> None:
    """Random and torchvision's own weights share the convention that torchvision documents."""
    for name in ("squeezenet1_0", "squeezenet1_1", "alexnet", "vgg16"):
        assert str(backbones.load(name, "random", generator=_generator()).convention) == _IMAGENET


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("caffenet", "BGR 0-255 minus (102.9801,115.9465,122.7717)"),  # PIXEL_MEANS of Fast R-CNN
        ("vgg-m", "BGR 0-255 minus (102.9801,115.9465,122.7717)"),
        ("zf5", "BGR 0-255 minus (128,128,128)"),  # [SPP App. A]
    ],
)
def test_caffes_networks_take_bgr_less_a_mean(name: str, text: str) -> None:
    """What they were trained on in the papers' releases; no weights are needed to know it."""
    assert str(backbones.load(name, "random", generator=_generator()).convention) == text


# Weights.


def _state(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    network = backbones.load(name, "random", generator=_generator(seed))
    return {f"features.{key}": value for key, value in network.features.state_dict().items()}


@every_backbone
def test_random_weights_come_from_the_generator_alone(name: str) -> None:
    """One seed gives one network whatever the global stream holds, which stays where it is; another seed another."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = _state(name)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        again, other = _state(name), _state(name, seed=1)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert all(not torch.equal(first[key], other[key]) for key in first if key.endswith("weight"))
    assert backbones.load(name, "random", generator=_generator()).weights == "random"


@every_backbone
def test_a_weights_file_is_loaded_tensor_by_tensor(name: str, tmp_path: Path) -> None:
    """Every feature tensor and the convention come from the file; what belongs to a classifier is left alone."""
    state, text = _state(name, seed=5), "BGR 0-255 minus (104,117,123)"
    save_file(state | {"classifier.6.weight": torch.zeros(3)}, tmp_path / "weights", {"input": text})
    network = backbones.load(name, str(tmp_path / "weights"), generator=_generator())
    loaded = network.features.state_dict()
    assert all(torch.equal(loaded[key.removeprefix("features.")], value) for key, value in state.items())
    assert str(network.convention) == text
    assert re.fullmatch("[0-9a-f]{64}", network.weights)
    assert network.pretrained
    assert network.fc_weights is None
    assert not network.training


def test_the_digest_is_of_the_tensors(tmp_path: Path) -> None:
    """Equal tensors have one digest whatever else the file says; one changed number changes it."""
    state = _state("mini")
    digests = []
    for index, note in enumerate(("one", "two", "three")):
        if index == 2:
            state["features.0.bias"][0] += 1
        save_file(state, tmp_path / note, {"input": _IMAGENET, "note": note})
        digests.append(backbones.load("mini", str(tmp_path / note), generator=_generator()).weights)
    assert digests[0] == digests[1] != digests[2]


def _assert_refused(path: Path, message: str, *, at_check: bool) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        backbones.load("mini", str(path), generator=_generator())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if at_check:
        with pytest.raises(WeightsError, match=message):
            backbones.check("mini", str(path))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    """A missing tensor and one of another shape are named, with the file."""
    path = tmp_path / "weights.safetensors"
    state = _state("mini")
    short = {key: value for key, value in state.items() if key != "features.6.weight"}
    save_file(short, path, {"input": _IMAGENET})
    _assert_refused(path, "has no tensor 'features.6.weight'", at_check=False)
    save_file(state | {"features.6.weight": torch.zeros(96, 48, 5, 5)}, path, {"input": _IMAGENET})
    _assert_refused(path, r"'features.6.weight' has shape \(96, 48, 5, 5\)", at_check=False)


def test_a_file_without_its_convention_is_refused(tmp_path: Path) -> None:
    """Weights that do not say how they want their pixels are refused before anything is built."""
    path = tmp_path / "weights.safetensors"
    save_file(_state("mini"), path)
    _assert_refused(path, "does not say its input convention", at_check=True)
    save_file(_state("mini"), path, {"source": "somewhere"})
    _assert_refused(path, "does not say its input convention", at_check=True)
    save_file(_state("mini"), path, {"input": "as usual"})
    _assert_refused(path, "not an input convention: 'as usual'", at_check=True)


def test_what_is_no_weights_file_is_refused(tmp_path: Path) -> None:
    """Another kind of file, an empty one, a folder and a missing one are named."""
    path = tmp_path / "weights.safetensors"
    _assert_refused(path, "no weights file", at_check=True)
    _assert_refused(tmp_path, "no weights file", at_check=True)
    for content in (b"", b"PK\x03\x04 some pickle", b"\xff" * 100):
        path.write_bytes(content)
        _assert_refused(path, "is no safetensors file", at_check=True)


def test_check_accepts_what_load_would_try(tmp_path: Path) -> None:
    """Names and files that can be had pass the early check; torchvision has no `mini`."""
    save_file(_state("mini"), tmp_path / "weights", {"input": _IMAGENET})
    backbones.check("mini", str(tmp_path / "weights"))
    for name in backbones.names():
        backbones.check(name, "random")
    for name in ("mini", "squeezenet1_0", "squeezenet1_1", "alexnet", "vgg16"):
        backbones.check(name, "auto")
    with pytest.raises(WeightsError, match="torchvision has no weights for mini"):
        backbones.check("mini", "torchvision")


@pytest.mark.parametrize("weights", ["auto", "torchvision"])
@pytest.mark.parametrize("name", ["caffenet", "zf5", "vgg-m"])
def test_weights_that_nobody_serves_are_refused(name: str, weights: str) -> None:
    """The papers' own networks come from a file or random, and the one line of the error says so."""
    for refuse in (backbones.check, lambda *asked: backbones.load(*asked, generator=_generator())):
        with pytest.raises(
            WeightsError, match=rf"no weights of {name} .* \.caffemodel or .* FILE, or .* random$"
        ) as caught:
            refuse(name, weights)
        assert "\n" not in str(caught.value)


def test_the_packaged_mini_says_how_it_was_made() -> None:
    """`auto` loads the file in the package, whose metadata names the command that wrote it, and it has learnt."""
    path = Path(backbones.__file__).with_name("mini.safetensors")
    network = backbones.load("mini", "auto", generator=_generator())
    stored = load_file(path)
    loaded = network.features.state_dict()
    assert set(stored) == {f"features.{key}" for key in loaded}
    assert all(torch.equal(value, loaded[key.removeprefix("features.")]) for key, value in stored.items())
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["source"].startswith("python -m harness.pretrain ")
    assert metadata["license"] == "MIT"
    assert InputConvention.parse(metadata["input"]) == network.convention
    assert all(value.isfinite().all() for value in stored.values())
    assert path.stat().st_size < 2**20


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_shared_squeezenet_weights_load(name: str, shared_data: Path) -> None:
    """Real ImageNet weights fit the network and give finite features that are neither all zero nor all alike."""
    (path,) = (shared_data / "weights").glob(f"{name}-*.safetensors")
    network = backbones.load(name, str(path), generator=_generator())
    image = torch.randint(0, 256, (3, 128, 128), generator=_generator(4), dtype=torch.uint8)
    with torch.no_grad():
        features = network(network.convention.apply(image)[None])
    assert features.isfinite().all()
    assert features.min() >= 0
    assert features.std() > 0


@pytest.mark.parametrize(
    "text", ["RGB 0-1 minus (nan,0,0)", "RGB 0-1 minus (0,inf,0)", "RGB 0-1 minus (0,0,0) over (1,0,1)"]
)
def test_a_convention_that_no_pixel_survives_is_refused(text: str) -> None:
    """Means must be finite and deviations above 0: anything else turns every input into NaN."""
    with pytest.raises(ConventionError, match="expected"):
        InputConvention.parse(text)
