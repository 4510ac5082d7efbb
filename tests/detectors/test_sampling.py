"""Mini-batches: which regions stand in them and how often."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import FitError
from detectors.parts.regions import Regions
from detectors.parts.sampling import Draw, ImageOrder, RegionDraws, Sampling, draw_images
from detectors.parts.streams import Streams


def _regions(ious: list[float], label: int = 1) -> Regions:
    """An image whose boxes overlap its one object by the given IoUs."""
    count = len(ious)
    return Regions(
        torch.rand(count, 4),
        torch.tensor(ious),
        torch.zeros(count, dtype=torch.int64),
        torch.tensor([label]),
        8,
    )


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _draws(regions: list[Regions], sampling: Sampling, seed: int = 0) -> RegionDraws:
    return RegionDraws(regions, sampling, Streams(_generator(seed)))


def _ious(regions: list[Regions], draw: Draw) -> torch.Tensor:
    return torch.stack([regions[i].best_iou[r] for i, r in zip(draw.image.tolist(), draw.region.tolist(), strict=True)])


_MIXED = [0.0, 0.05, 0.0999, 0.1, 0.3, 0.4999, 0.5, 0.7, 1.0]
_IOUS = st.lists(st.sampled_from(_MIXED), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(st.lists(_IOUS, min_size=1, max_size=4), st.sampled_from([0.0, 0.1]), st.integers(0, 3))
def test_regions_of_all_images(images: list[list[float]], low: float, seed: int) -> None:
    """32 of 128 regions have IoU >= 0.5 and the class of their object, 96 have IoU in [low, 0.5) and label 0."""
    regions = [_regions(ious, label=index + 1) for index, ious in enumerate(images)]
    every = [value for ious in images for value in ious]
    sampling = Sampling(background_iou=low)
    if not any(value >= 0.5 for value in every) or not any(low <= value < 0.5 for value in every):
        with pytest.raises(FitError):
            _draws(regions, sampling, seed)
        return
    draws = _draws(regions, sampling, seed)
    for draw in (draws[0], draws[1], draws[2]):
        iou = _ious(regions, draw)
        assert len(iou) == len(draw.label) == len(draw.flipped) == 128
        assert (iou[:32] >= 0.5).all()
        assert torch.equal(draw.label[:32], draw.image[:32] + 1)
        assert (iou[32:] < 0.5).all()
        assert (iou[32:] >= torch.tensor(low)).all()
        assert (draw.label[32:] == 0).all()


def test_every_region_is_drawn_about_equally_often() -> None:
    """Regions are drawn with replacement and without favour, from small images and large; half are mirrored."""
    regions = [_regions([0.9] * 2 + [0.1] * 3), _regions([0.6] * 6 + [0.2] * 9)]
    lazy = _draws(regions, Sampling())
    draws = [lazy[step] for step in range(200)]
    key = torch.cat([draw.image * 100 + draw.region for draw in draws])
    foreground = torch.cat([draw.label for draw in draws]) > 0
    flipped = torch.cat([draw.flipped for draw in draws])
    for part, different in ((key[foreground], 8), (key[~foreground], 12)):
        counts = part.bincount()
        counts = counts[counts > 0].double()
        assert len(counts) == different
        expected = len(part) / different
        # Six deviations of a binomial count.
        assert (counts - expected).abs().max() < 6 * expected**0.5
    assert abs(float(flipped.double().mean()) - 0.5) < 0.03


def test_no_object_and_no_background_are_told_apart() -> None:
    """Without foreground, and without background, the message says which is missing."""
    with pytest.raises(FitError, match="no object"):
        _draws([_regions([0.1, 0.2])], Sampling())
    with pytest.raises(FitError, match="no background"):
        _draws([_regions([0.9])], Sampling())
    with pytest.raises(FitError, match="no background"):
        _draws([_regions([0.9, 0.05])], Sampling(background_iou=0.1))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(0, 80), st.integers(0, 80), st.integers(0, 3))
def test_regions_of_one_image(foreground: int, background: int, below: int, seed: int) -> None:
    """Of 64 places 16 at most are foreground, background fills the rest as far as it goes, and no box comes twice."""
    regions = [_regions([0.5] * foreground + [0.1] * background + [0.0999] * below, label=2)] * 2
    draw = draw_images(regions, Sampling(background_iou=0.1), torch.tensor([0, 1]), _generator(seed))
    for index in (0, 1):
        mine = draw.image == index
        labels, picked = draw.label[mine], draw.region[mine]
        expected = min(foreground, 16)
        assert int((labels == 2).sum()) == expected
        assert int((labels == 0).sum()) == min(background, 64 - expected)
        assert len(set(picked.tolist())) == len(picked)
        assert (picked[labels == 2] < foreground).all()
        assert ((picked[labels == 0] >= foreground) & (picked[labels == 0] < foreground + background)).all()
        assert len(set(draw.flipped[mine].tolist())) <= 1, "regions of an image share its feature map"


def test_images_are_mirrored_half_the_time() -> None:
    """The mirror is a coin per image."""
    regions = [_regions([0.9, 0.2])] * 2
    generator = _generator()
    draws = [draw_images(regions, Sampling(), torch.tensor([0, 1]), generator) for _ in range(300)]
    first = torch.stack([draw.flipped[draw.image == 0][0] for draw in draws])
    second = torch.stack([draw.flipped[draw.image == 1][0] for draw in draws])
    for coins in (first, second, first ^ second):
        assert abs(float(coins.double().mean()) - 0.5) < 0.15


def test_draws_depend_on_the_generator_alone() -> None:
    """One seed, one list of mini-batches; the global stream is not touched."""
    regions = [_regions([0.9, 0.6, 0.2, 0.1])]
    before = torch.get_rng_state()
    one, two, other = (_draws(regions, Sampling(), seed) for seed in (7, 7, 8))
    for step in range(2):
        assert torch.equal(one[step].region, two[step].region)
        assert torch.equal(one[step].flipped, two[step].flipped)
    assert not all(torch.equal(one[step].region, other[step].region) for step in range(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mini_batch_is_the_same_whenever_it_is_asked_for() -> None:
    """Whoever starts at step 5 gets what the one that came from step 0 gets there; neighbours differ."""
    regions = [_regions([0.9, 0.6, 0.5] + [0.2, 0.1, 0.3] * 9)] * 3
    first, second = _draws(regions, Sampling()), _draws(regions, Sampling())
    passed = [first[step] for step in range(6)]
    for part in ("image", "region", "label", "flipped"):
        assert torch.equal(getattr(second[5], part), getattr(passed[5], part))
    assert not torch.equal(passed[4].region, passed[5].region)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 30))
def test_every_image_comes_once_an_epoch(count: int, per_batch: int, start: int) -> None:
    """Cut into epochs, the order holds each usable image exactly once, from wherever it is begun."""
    usable = torch.arange(count) * 3 + 1
    order = ImageOrder(usable, per_batch, Streams(_generator()))
    whole = torch.cat([order[step] for step in range(3 * count)])
    for epoch in range(3 * per_batch):
        assert sorted(whole[epoch * count : (epoch + 1) * count].tolist()) == usable.tolist()
    begun_late = ImageOrder(usable, per_batch, Streams(_generator()))
    late = start % (3 * count)
    assert torch.equal(begun_late[late], whole[late * per_batch : (late + 1) * per_batch])
