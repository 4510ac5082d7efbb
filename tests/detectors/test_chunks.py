"""How many crops go through a network at a time, and what happens where memory does not hold so many."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from detectors.contract import listening
from detectors.parts import chunks
from detectors.parts.backbones import Backbone, Geometry, InputConvention
from detectors.parts.chunks import Chunks, bytes_per_crop, choose
from harness.testing import Ear

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def _backbone(channels: int, crop_px: int, *, inplace: bool = True) -> Backbone:
    """One convolution that keeps the size, a ReLU and a pooling that halves it."""
    layers = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(inplace=inplace), nn.MaxPool2d(2))
    geometry = Geometry(channels=channels, stride_px=2, cell0_px=0.5, crop_px=crop_px)
    return Backbone("one", layers, geometry, InputConvention("RGB", 1, (0.0, 0.0, 0.0)), "random").eval()


@pytest.mark.parametrize(("inplace", "maps"), [(True, 3 + 8), (False, 8 + 8)])
def test_the_largest_pair_of_activations_is_found(inplace: bool, maps: int) -> None:
    """A layer's input and output in float32: those of the convolution where the ReLU overwrites, else the ReLU's."""
    assert bytes_per_crop(_backbone(8, 10, inplace=inplace)) == maps * 10 * 10 * 4


def test_choosing_leaves_the_backbone_alone() -> None:
    """No hook stays behind, and nothing is computed by the backbone that the methods share."""
    backbone = _backbone(8, 10)
    bytes_per_crop(backbone)
    assert all(not layer._forward_hooks for layer in backbone.modules())


@pytest.mark.parametrize(
    ("bytes_of_one", "chunk"),
    [(1, 256), (2**17, 256), (2**17 + 1, 128), (2 * 10**6, 16), (2**22, 8), (2**23 + 1, 4), (2**30, 4)],
)
def test_a_cpu_holds_a_layer_in_32_mib(bytes_of_one: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power of two, as many as fit, from 4 to the published 256."""
    monkeypatch.setattr(chunks, "bytes_per_crop", lambda _: bytes_of_one)
    assert choose(_backbone(1, 4), CPU) == chunk
    assert choose(_backbone(1, 4), CPU) == chunk


@pytest.mark.parametrize(("gib", "chunk"), [(80, 256), (24, 128), (8, 64), (1, 8), (0.01, 1)])
def test_vgg16_takes_a_quarter_of_a_gpu(gib: float, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG16's 64 maps of 224 x 224 in and out are 24.5 MiB a crop, 6.6 GB for the published 256."""
    vgg16 = 2 * 64 * 224 * 224 * 4
    assert 6.5e9 < vgg16 * 256 < 6.6e9
    monkeypatch.setattr(chunks, "bytes_per_crop", lambda _: vgg16)
    total = SimpleNamespace(total_memory=int(gib * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: total)
    assert choose(_backbone(1, 4), GPU) == chunk


def test_the_published_number_where_nothing_is_known() -> None:
    """256 [rcnn_create_model.m] on a device whose memory nobody can ask for."""
    assert chunks.PUBLISHED == 256
    assert choose(_backbone(1, 4), torch.device("meta")) == 256


@pytest.mark.parametrize(("total", "size"), [(0, 4), (1, 4), (4, 4), (9, 4), (7, 1)])
def test_every_crop_has_its_turn_once(total: int, size: int) -> None:
    """Parts follow each other without gaps or overlap, all but the last as long as they may be."""
    parts: list[slice] = []
    Chunks(size).run(total, parts.append)
    assert [index for part in parts for index in range(part.start, part.stop)] == list(range(total))
    assert all(part.stop - part.start == size for part in parts[:-1])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_a_chunk_is_halved_until_it_fits(error: Exception) -> None:
    """What ran out of memory is done again in halves, each said once, and the smaller chunk is remembered."""
    done: list[int] = []

    def work(part: slice) -> None:
        if part.stop - part.start > 3:
            raise error
        done.extend(range(part.start, part.stop))

    held, ear = Chunks(16), Ear()
    with listening(ear):
        held.run(20, work)
        held.run(5, lambda part: done.append(part.stop - part.start))
    assert done == [*range(20), 2, 2, 1]
    assert held.size == 2
    assert ear.notices == [f"R-CNN's chunk of crops halved to {size}: out of memory" for size in (8, 4, 2)]


def test_a_chunk_for_which_cudnn_has_no_engine_is_halved_too() -> None:
    """cuDNN may lack nothing but room for a workspace; what it says is passed on where one crop is too many."""
    error, limit = RuntimeError("GET was unable to find an engine to execute this computation"), 2

    def work(part: slice) -> None:
        if part.stop - part.start > limit:
            raise error

    held, ear = Chunks(4), Ear()
    with listening(ear):
        held.run(4, work)
        assert held.size == 2
        assert ear.notices == ["R-CNN's chunk of crops halved to 2: cuDNN finds no engine, perhaps for lack of memory"]
        limit = 0
        with pytest.raises(RuntimeError, match="unable to find an engine"):
            held.run(4, work)


def test_a_short_chunk_that_does_not_fit_is_halved_itself() -> None:
    """Five crops of a chunk of up to 64 that do not fit are tried by two, not by 32 again."""
    tried: list[int] = []

    def work(part: slice) -> None:
        tried.append(part.stop - part.start)
        if tried[-1] > 2:
            raise torch.OutOfMemoryError

    held = Chunks(64)
    held.run(5, work)
    assert tried == [5, 2, 2, 1]


def test_one_crop_that_does_not_fit_is_an_error() -> None:
    """Below one there is nothing to halve."""

    def work(part: slice) -> None:
        raise torch.OutOfMemoryError("not even one")

    held = Chunks(2)
    with pytest.raises(torch.OutOfMemoryError, match="not even one"):
        held.run(4, work)
    assert held.size == 1


def test_other_errors_are_not_hidden() -> None:
    """An error that has nothing to do with memory passes at once."""

    def work(part: slice) -> None:
        raise RuntimeError("shapes do not match")

    held = Chunks(8)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        held.run(4, work)
    assert held.size == 8
