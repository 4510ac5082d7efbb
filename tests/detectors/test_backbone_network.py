"""Backbones: which layers are trained, and what a copy shares."""

from __future__ import annotations

import copy

import pytest
import torch

from detectors.contract import SettingsError
from detectors.parts import backbones
from detectors.parts.backbones import Backbone


def _network(name: str) -> Backbone:
    return backbones.load(name, "random", generator=torch.Generator().manual_seed(0))


# Which layers are trained.

_LAYERS = {
    "mini": ("conv1", "conv2", "conv3", "conv4", "conv5"),
    "squeezenet1_1": ("conv1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9"),
    "alexnet": ("conv1", "conv2", "conv3", "conv4", "conv5"),
    "caffenet": ("conv1", "conv2", "conv3", "conv4", "conv5"),
    "zf5": ("conv1", "conv2", "conv3", "conv4", "conv5"),
    "vgg-m": ("conv1", "conv2", "conv3", "conv4", "conv5"),
}
_VGG16 = "1_1 1_2 2_1 2_2 3_1 3_2 3_3 4_1 4_2 4_3 5_1 5_2 5_3"


@pytest.mark.parametrize("name", _LAYERS)
def test_layers_have_the_names_of_the_papers(name: str) -> None:
    """A name stands for one convolution, or one fire module, in the order of the network."""
    assert _network(name).layers == _LAYERS[name]


def test_tuning_begins_at_the_layer_that_is_named() -> None:
    """Its weights and those of all later layers come, in order; `conv3` of VGG16 is conv3_1 and on [FRCN Table 5]."""
    network = _network("vgg16")
    assert network.layers == tuple(f"conv{number}" for number in _VGG16.split())
    weights = dict(network.features.named_parameters())
    from_conv3 = [weight for key, weight in weights.items() if key >= "conv3_1"]
    assert len(from_conv3) == 2 * 9
    for layer in ("conv3_1", "conv3"):
        assert [id(one) for one in network.tunable(layer)] == [id(one) for one in from_conv3]
    assert [id(one) for one in network.tunable(None)] == [id(one) for one in weights.values()]
    assert [id(one) for one in network.tunable("conv5_3")] == [
        id(weights["conv5_3.weight"]),
        id(weights["conv5_3.bias"]),
    ]
    assert network.tunable("fc6") == []


@pytest.mark.parametrize("name", backbones.names())
def test_tuning_from_each_layer_leaves_out_one_more(name: str) -> None:
    """From the first layer on it is every weight there is; each later start gives fewer, to the last."""
    network = _network(name)
    every = [id(weight) for weight in network.features.parameters()]
    counts = []
    for layer in network.layers:
        found = [id(weight) for weight in network.tunable(layer)]
        assert found == every[len(every) - len(found) :]
        counts.append(len(found))
    assert counts[0] == len(every)
    assert counts == sorted(set(counts), reverse=True)
    assert counts[-1] > 0


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("caffenet", "conv2"),
        ("vgg-m", "conv2"),
        ("vgg16", "conv3_1"),
        ("alexnet", "conv2"),
        ("squeezenet1_0", "fire4"),
        ("squeezenet1_1", "fire4"),
        ("zf5", None),
        ("mini", None),
    ],
)
def test_fast_rcnn_leaves_the_first_layers_alone(name: str, first: str | None) -> None:
    """conv1 of models S and M and conv1_1 to conv2_2 of L [FRCN 4.5]; the stated layer is one that there is."""
    network = _network(name)
    assert network.geometry.tuned_from == first
    assert network.tunable(network.geometry.tuned_from)


@pytest.mark.parametrize(
    ("name", "layer"), [("mini", "conv6"), ("vgg16", "conv3_4"), ("caffenet", "pool1"), ("zf5", "")]
)
def test_an_unknown_layer_is_refused(name: str, layer: str) -> None:
    """One line names the layer, the network and all that could be meant."""
    network = _network(name)
    with pytest.raises(SettingsError) as caught:
        network.tunable(layer)
    message = str(caught.value)
    assert message == f"no layer {layer!r} to fine-tune {name} from; there are {', '.join(network.layers)}, fc6"


# Copies.


@pytest.mark.parametrize("name", ["mini", "caffenet", "zf5", "squeezenet1_1"])
def test_a_copy_has_layers_of_its_own(name: str) -> None:
    """Changing a copy, also one for images, changes nothing else; until then both compute the same numbers."""
    network = _network(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for made in (network.copy(), copy.deepcopy(network), network.for_images()):
        assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
        assert (made.name, made.convention, made.weights, made.layers) == (
            network.name,
            network.convention,
            network.weights,
            network.layers,
        )
        assert made.training is False
        with torch.no_grad():
            for weight in made.parameters():
                weight.add_(1)
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.copy().train().copy().training


def test_padding_for_images_changes_no_crop_network() -> None:
    """The padding belongs to the copy: the original still gives 13 cells of 227 px, the copy 15."""
    network = _network("caffenet")
    images = network.for_images()
    pixels = torch.zeros(1, 3, 227, 227, device="meta")
    assert network.to("meta")(pixels).shape[2] == 13
    assert images.to("meta")(pixels).shape[2] == 15  # (227 + 10 - 11) / 4 + 1 = 57, then 29, then 15


def test_fc_weights_are_shared_and_never_moved() -> None:
    """Hundreds of MB are neither copied with the layers nor cast or moved with them."""
    mini = _network("mini")
    fc_weights = {"fc6.weight": torch.zeros(3, 4)}
    network = Backbone("x", mini.features, mini.geometry, mini.convention, "random", fc_weights=fc_weights)
    for made in (network.copy(), copy.deepcopy(network), network.for_images(), network.double()):
        assert made.fc_weights is fc_weights
    assert fc_weights["fc6.weight"].dtype == torch.float32
    assert not any(key.startswith("fc") for key in network.state_dict())


def test_names_must_match_the_layers() -> None:
    """A network with five convolutions cannot have two names."""
    mini = _network("mini")
    with pytest.raises(ValueError, match="layers of x: expected 5 names, got one, two"):
        Backbone("x", mini.features, mini.geometry, mini.convention, "random", layers=("one", "two"))
