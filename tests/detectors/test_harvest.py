"""What the first pass collects, against literal loops over images and boxes; and the bounded samples."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import Example
from detectors.parts.boxes import encode, iou
from detectors.parts.harvest import Harvest, Reservoir, gather
from detectors.parts.regions import Regions

_N_CLASSES = 8


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _extract(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pooled features that are the box, SVM features that are the box's corner and its image."""
    image = torch.full((len(boxes), 1), 1000.0 * (index + 1))
    return boxes.double(), torch.cat([boxes[:, :2], image], dim=1)


def _gathered(examples: tuple[Example, ...], min_iou: float = 0.6) -> Harvest:
    draw = _generator()
    harvest = Harvest(Reservoir(_N_CLASSES, 3, 2**20, draw), Reservoir(_N_CLASSES, 8, 2**20, draw))
    gather(harvest, [Regions.of(one, _N_CLASSES) for one in examples], _extract, min_iou=min_iou, generator=draw)
    return harvest


@pytest.mark.parametrize("min_iou", [0.3, 0.6])
def test_objects_and_boxes_near_them(scenes: tuple[Example, ...], min_iou: float) -> None:
    """Each object is there once, under its class; each box above the IoU with its deltas, under its object's class."""
    objects: list[list[torch.Tensor]] = [[] for _ in range(_N_CLASSES)]
    near: list[list[torch.Tensor]] = [[] for _ in range(_N_CLASSES)]
    for index, one in enumerate(scenes):
        for row, box in enumerate(torch.cat([one.boxes, one.proposals])):
            overlaps = [float(iou(box[None], truth[None])) for truth in one.boxes]
            best = overlaps.index(max(overlaps))
            k = int(one.labels[best]) - 1
            if row < len(one.boxes):
                objects[k].append(_extract(index, box[None])[1][0])
            if overlaps[best] > min_iou:
                near[k].append(torch.cat([box, encode(box[None], one.boxes[best : best + 1])[0]]))
    harvest = _gathered(scenes, min_iou)
    assert harvest.counts().tolist() == [[sum(map(len, objects))] * 2, [sum(map(len, near))] * 2]
    for k in range(_N_CLASSES):
        assert torch.equal(harvest.positives.take(k), torch.stack(objects[k]) if objects[k] else torch.zeros(0, 3))
        torch.testing.assert_close(harvest.near.take(k), torch.stack(near[k]) if near[k] else torch.zeros(0, 8))
    assert harvest.counts()[:, 0].tolist() == [0, 0]


def test_norms_are_those_of_random_boxes_of_random_images(
    scenes: tuple[Example, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many images are drawn, so many boxes of each, none twice; nothing else counts (rcnn_feature_stats.m)."""
    monkeypatch.setattr("detectors.parts.harvest._NORM_IMAGES", 3)
    monkeypatch.setattr("detectors.parts.harvest._NORM_BOXES", 7)
    harvest = _gathered(scenes)
    per_image = [(len(norms), len(pooled)) for norms, pooled in zip(harvest.norms, harvest.pooled_norms, strict=True)]
    assert sorted(per_image) == [(0, 0)] * (len(scenes) - 3) + [(7, 7)] * 3
    for index, one in enumerate(scenes):
        pooled, features = _extract(index, torch.cat([one.boxes, one.proposals]))
        for found, all_of_image in ((harvest.norms, features), (harvest.pooled_norms, pooled)):
            known = all_of_image.float().norm(dim=1)
            places = [int((known - norm).abs().argmin()) for norm in found[index]]
            torch.testing.assert_close(found[index], known[places])
            assert len(set(places)) == len(places)


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=12), most=st.integers(3, 30))
def test_samples_stay_within_their_budget(counts: list[tuple[int, int]], most: int) -> None:
    """Never more rows than fit; each is one that came, in order and once; all of them where they fit."""
    kept = Reservoir(3, 2, 4 * 2 * most, _generator(8))
    came: list[list[float]] = [[], [], []]
    for number, (k, n) in enumerate(counts):
        rows = torch.arange(n).repeat(2, 1).T + 100.0 * number
        came[k] += rows[:, 0].tolist()
        kept.add(k, rows)
        assert kept.held <= most
    total, held = sum(map(len, came)), kept.held
    found = [kept.take(k)[:, 0].tolist() for k in range(3)]
    assert (kept.seen, held) == (total, sum(map(len, found)))
    if total <= most:
        assert found == came
    for mine, theirs in zip(found, came, strict=True):
        assert mine == [value for value in theirs if value in set(mine)]


def test_samples_are_drawn_evenly() -> None:
    """What comes early and what comes late has the same chance to stay: half of 200 x 40 rows, within 5 deviations."""
    first = last = 0
    for seed in range(200):
        kept = Reservoir(1, 1, 4 * 30, _generator(seed))
        for number in range(40):
            kept.add(0, torch.full((2, 1), float(number)))
        rows = kept.take(0)
        first, last = first + int((rows < 20).sum()), last + int((rows >= 20).sum())
    assert abs(first - last) < 5 * (first + last) ** 0.5
