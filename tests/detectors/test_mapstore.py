"""Feature maps kept on disk: what is read is what was made, and nothing depends on whether it was kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.contract import Stage, listening
from detectors.parts.mapstore import Convolved, MapStore
from detectors.parts.scales import ImagePyramid


class _Images:
    """Random images, and how often each was convolved."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def get(self, store: MapStore, number: int) -> Convolved:
        def make() -> Convolved:
            self.made.append(number)
            generator = torch.Generator().manual_seed(number)
            pyramid = ImagePyramid.of(torch.rand(3, 40, 50, generator=generator), (40, 80))
            return Convolved(pyramid, self.maps(number))

        return store.get(number, make)

    @staticmethod
    def maps(number: int) -> tuple[torch.Tensor, ...]:
        """One is beyond what float16 holds, one is tiny, one is 0."""
        generator = torch.Generator().manual_seed(number)
        one, other = torch.rand(2, 1, 6, 4, 5, generator=generator)
        return {0: (one * 1e6, other), 1: (one * 1e-9, other), 2: (one * 0, other)}[number]


def _same(one: Convolved, other: Convolved) -> bool:
    boxes = torch.tensor([[3.0, 4.0, 30.0, 20.0]])
    placed = [
        torch.equal(a, b)
        for a, b in zip(one.pyramid.place(boxes, "paper"), other.pyramid.place(boxes, "paper"), strict=True)
    ]
    return all(placed) and all(torch.equal(a, b) for a, b in zip(one.maps, other.maps, strict=True))


@pytest.mark.parametrize("room", [0, 2 * 120 * 2, 2**20], ids=["nothing", "one image", "all"])
def test_a_map_is_the_same_whether_or_not_it_was_kept(room: int, tmp_path: Path) -> None:
    """Rounded to half precision at its first use and at every later one; kept as long as there is room."""
    images = _Images()
    with MapStore(tmp_path, room) as store:
        first = [images.get(store, number) for number in (0, 1, 2)]
        again = [images.get(store, number) for number in (2, 1, 0)]
    assert all(_same(one, other) for one, other in zip(first, reversed(again), strict=True))
    for number, found in enumerate(first):
        for kept, made in zip(found.maps, images.maps(number), strict=True):
            torch.testing.assert_close(kept, made, rtol=2**-11, atol=float(made.max()) * 2**-24)
    assert sorted(images.made) == {0: [0, 0, 1, 1, 2, 2], 480: [0, 1, 1, 2, 2]}.get(room, [0, 1, 2])


def test_what_a_killed_fit_left_is_removed(tmp_path: Path) -> None:
    """Gigabytes of it, for each time that it was killed."""
    (tmp_path / "maps-dead").mkdir()
    (tmp_path / "maps-dead" / "0-0.npy").touch()
    (tmp_path / "shared-fc.checkpoint").touch()
    with MapStore(tmp_path, 2**20):
        assert not (tmp_path / "maps-dead").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["shared-fc.checkpoint"]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Nor by a fit that fails."""

    def fit() -> None:
        with MapStore(tmp_path / "work", 2**20) as store:
            _Images().get(store, 0)
            assert list((tmp_path / "work").rglob("*.npy"))
            raise RuntimeError("the fit failed")

    with pytest.raises(RuntimeError, match="the fit failed"):
        fit()
    assert list((tmp_path / "work").iterdir()) == []


def test_a_full_disk_ends_the_keeping_and_not_the_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says so, and maps are made anew from then on."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    told: list[str] = []

    class Listener:
        def enter(self, stage: Stage) -> None: ...
        def leave(self, stage: Stage) -> None: ...
        def progress(self, done: int, total: int, text: str) -> None: ...
        def notice(self, text: str) -> None:
            told.append(text)

    images = _Images()
    monkeypatch.setattr(np, "save", full)
    with MapStore(tmp_path, 2**20) as store, listening(Listener()):
        found = [images.get(store, 0), images.get(store, 0), images.get(store, 1)]
    assert _same(found[0], found[1])
    assert images.made == [0, 0, 1]
    assert len(told) == 1
    assert "no longer kept" in told[0]
    assert "No space left on device" in told[0]
