"""Bytes and launches of operators: hand arithmetic, and launches as torch's profiler sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torchvision import ops

from detectors.contract import Detector, Stage, listening, stage
from detectors.parts.boxes import clip, decode
from detectors.parts.crops import sample, sources
from detectors.parts.pooling import map_windows
from harness.flops import ImageShape, count_image

X = (2, 3, 8, 9)
VALUES = 2 * 3 * 8 * 9
PLACES = torch.tensor([0, 5, 7, 7, 2])
NOWHERE, DOWN, ACROSS = PLACES[:0], PLACES[:, None], PLACES[:3]
CHOSEN = torch.ones(2, 3, dtype=torch.bool)
Work = Callable[[torch.Tensor], object]


def asked(work: Work, *made: tuple[int, ...], inferring: bool = True) -> tuple[int, int]:
    """Bytes and launches of `work` on float32 tensors of these shapes, by themselves."""

    def detect(image: torch.Tensor, _: torch.Tensor) -> None:
        with torch.inference_mode(inferring):
            tensors = [image.new_empty(shape, dtype=torch.float32) for shape in made or (X,)]
            with stage(Stage.POOL):
                work(*tensors)

    found = count_image(cast(Detector, type("Only", (), {"detect": staticmethod(detect)})()), ImageShape(8, 9, 1))
    return found.bytes["pool"], found.launches["pool"]


def less_one(x: torch.Tensor) -> None:
    x[:, 1:] -= 1


def three(x: torch.Tensor) -> None:
    x[0] = 3.0


BY_HAND: dict[str, tuple[Work, int, int]] = {
    # Nothing to do
    "view": (lambda x: x.view(-1).reshape(3, -1).T[1:, None], 0, 0),
    "unbound": (lambda x: [each.detach() for each in x.unbind(1)], 0, 0),
    "split": (lambda x: x.split(1), 0, 0),
    "expanded": (lambda x: x[None].expand(7, *X), 0, 0),
    "allocated": (lambda x: (torch.empty(5), x.new_empty(3), torch.empty_like(x)), 0, 0),
    "as it is": (lambda x: x.contiguous().float().to(x), 0, 0),
    "of no value": (lambda x: x[:0] * 2, 0, 0),
    "onto itself": (lambda x: x.copy_(x), 0, 0),
    # Element by element
    "add": (lambda x: x + x, 4 * 3 * VALUES, 1),
    "number": (lambda x: x * 2, 4 * 2 * VALUES, 1),
    "chain": (lambda x: (x * 2 + 1).relu(), 4 * 6 * VALUES, 3),
    "in place": (lambda x: x.mul_(2), 4 * 2 * VALUES, 1),
    "compared": (lambda x: x > 0, (4 + 1) * VALUES, 1),
    "into another": (lambda x: torch.add(x[0], x[0], out=x[1]), 4 * 3 * VALUES // 2, 1),
    "broadcast": (lambda x: x[:1].expand(5, -1, -1, -1) + x[:1], 4 * 2 * 216 + 4 * 5 * 216, 1),
    "column": (lambda x: x[..., 0] * 2, 4 * 2 * VALUES // 9, 1),
    "converted": (lambda x: x.double(), (4 + 8) * VALUES, 1),
    "windows that overlap": (lambda x: x.flatten().unfold(0, 3, 1) * 2, 4 * VALUES + 4 * 3 * (VALUES - 2), 1),
    "part less one": (less_one, 4 * 2 * VALUES * 2 // 3, 1),
    "masked": (lambda x: x.masked_fill(torch.ones(X, dtype=torch.bool), 0), VALUES + (4 + 1 + 4) * VALUES, 1 + 2),
    # Moved
    "zeros": (lambda x: torch.zeros(5), 4 * 5, 1),
    "range": (lambda x: torch.arange(5), 8 * 5, 1),
    "filled": (lambda x: x.fill_(1), 4 * VALUES, 1),
    "part filled": (lambda x: x[0].fill_(3), 4 * VALUES // 2, 1),
    "copied": (lambda x: x[0].copy_(x[1]), 4 * 2 * VALUES // 2, 1),
    "cloned": (lambda x: x.clone(), 4 * 2 * VALUES, 1),
    "joined": (lambda x: torch.cat([x, x]), 4 * 4 * VALUES, 1),
    "stacked": (lambda x: torch.stack([x, x]), 4 * 4 * VALUES, 1),
    "padded": (lambda x: functional.pad(x, (0, 1)), 4 * VALUES + 4 * VALUES // 9 * 10, 2),
    "channels last": (lambda x: x.contiguous(memory_format=torch.channels_last), 4 * 2 * VALUES, 1),
    # Picked: what is picked is read and written, and the int64 places are read
    "index": (lambda x: x.flatten()[PLACES], 4 * 2 * 5 + 8 * 5, 1),
    "rows": (lambda x: x.view(48, 9)[PLACES], 4 * 2 * 5 * 9 + 8 * 5, 1),
    "selected": (lambda x: x.view(48, 9).index_select(0, PLACES), 4 * 2 * 5 * 9 + 8 * 5, 1),
    "gathered": (lambda x: x.flatten().gather(0, PLACES), 4 * 2 * 5 + 8 * 5, 1),
    # Put in place: what is put and the int64 places are read, and what is added to
    "places set": (lambda x: x.flatten().index_put_((PLACES,), x[0, 0, 0, :5]), 4 * 2 * 5 + 8 * 5, 1),
    "places added to": (lambda x: x.flatten().index_put_((PLACES,), x[0, 0, 0, :5], accumulate=True),
                        4 * 3 * 5 + 8 * 5, 1),
    "rows set": (lambda x: x.view(48, 9).index_put_((PLACES,), x[0, 0, 0]), 4 * (5 * 9 + 9) + 8 * 5, 1),
    "columns set": (lambda x: torch.ops.aten.index_put_(x.view(48, 9), [None, PLACES], x[0, 0, 0, 0]),
                    4 * (48 * 5 + 1) + 8 * 5, 1),
    "grid set": (lambda x: x.view(48, 9).index_put_((DOWN, ACROSS), x[0, 0, 0, 0]),
                 4 * (5 * 3 + 1) + 8 * (5 + 3), 1),
    "chosen set": (lambda x: x.index_put_((CHOSEN,), x[0, 0, 0, 0]),
                   6 + 4 * (VALUES + 1), 1),
    "nowhere set": (lambda x: x.flatten().index_put_((NOWHERE,), x[0, 0, 0, 0]), 0, 0),
    "put": (lambda x: x.put_(PLACES, x[0, 0, 0, :5]), 4 * 2 * 5 + 8 * 5, 1),
    "scattered": (lambda x: x.flatten().scatter_(0, PLACES, x[0].flatten()), 4 * 2 * 5 + 8 * 5, 1),
    "number scattered": (lambda x: x.flatten().scatter_(0, PLACES, 2.0), 4 * 5 + 8 * 5, 1),
    "scattered and added": (lambda x: x.flatten().scatter_add_(0, PLACES, x[0].flatten()), 4 * 3 * 5 + 8 * 5, 1),
    "scattered and multiplied": (lambda x: x.flatten().scatter_(0, PLACES, x[0].flatten(), reduce="multiply"),
                                 4 * 3 * 5 + 8 * 5, 1),
    "rows added to": (lambda x: x.view(48, 9).index_add_(0, PLACES, x.view(48, 9)[:5]), 4 * 3 * 5 * 9 + 8 * 5, 1),
    "rows copied": (lambda x: x.view(48, 9).index_copy_(0, PLACES, x.view(48, 9)[:5]), 4 * 2 * 5 * 9 + 8 * 5, 1),
    "columns filled": (lambda x: x.view(48, 9).index_fill_(1, PLACES, 2.0), 4 * 48 * 5 + 8 * 5, 1),
    # Reduced and computed
    "sum": (lambda x: x.sum((2, 3)), 4 * VALUES + 4 * 6, 1),
    "greatest": (lambda x: x.max(dim=3), 4 * VALUES + (4 + 8) * VALUES // 9, 1),
    "softmax": (lambda x: x.softmax(1), 4 * 2 * VALUES, 1),
    "linear": (lambda x: functional.linear(x.view(48, 9), torch.ones(4, 9), torch.ones(4)),
               4 * 4 * 9 + 4 * 4 + 4 * (48 * 9 + 4 * 9 + 4) + 4 * 48 * 4, 2 + 1),
    "convolution": (lambda x: functional.conv2d(x, torch.ones(5, 3, 3, 3)),
                    4 * 135 + 4 * (VALUES + 135) + 4 * 2 * 5 * 6 * 7, 1 + 1),
    "maxima": (lambda x: functional.max_pool2d(x, 2), 4 * VALUES + (4 + 8) * 2 * 3 * 4 * 4, 1),
    "regions": (lambda x: ops.roi_pool(x, torch.zeros(4, 5), 2), 4 * 20 + 4 * (VALUES + 20) + 8 * 4 * 3 * 4, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("inferring", [True, False])
def test_an_operator_moves_what_hand_arithmetic_says(name: str, inferring: bool) -> None:
    """Arguments once, results once, views never; constants that the work makes are in its numbers."""
    work, moved, launches = BY_HAND[name]
    assert asked(work, inferring=inferring) == (moved, launches)


@pytest.mark.parametrize("inferring", [True, False])
def test_setting_a_part_writes_it(inferring: bool) -> None:
    """At once; torch 2.11 first makes a tensor of the number on the device and then copies it, as is counted there."""
    at_once, through_a_tensor = (4 * VALUES // 2, 1), (4 + 4 + 4 * VALUES // 2, 2)
    assert asked(three, inferring=inferring) in (at_once, through_a_tensor)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 6))
def test_an_expanded_tensor_has_the_bytes_of_its_storage(shape: list[int], times: int) -> None:
    """However often it is shown."""
    values = torch.Size(shape).numel()
    moved, launches = asked(lambda x: x.expand(times, *shape).clone(), tuple(shape))
    assert (moved, launches) == (4 * values + 4 * values * times, 1)


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_transposed_matrix_has_the_bytes_of_the_matrix(rows: int, columns: int) -> None:
    """The order of values in memory changes nothing."""
    assert asked(lambda x: x.T * 2, (rows, columns)) == (2 * 4 * rows * columns, 1)


def test_only_what_comes_from_the_host_is_sent_to_a_device() -> None:
    """To a CPU nothing is sent, and what is on the device already is not sent again."""
    found = {}
    for where in ("cpu", "lazy"):

        def detect(image: torch.Tensor, boxes: torch.Tensor, where: str = where) -> None:
            with stage(Stage.PREPARE):
                there = image[None].to(where)
                boxes.to(where)
            with stage(Stage.CONV):
                (there + 1).to(where)

        detector = cast(Detector, type("Only", (), {"detect": staticmethod(detect)})())
        found[where] = count_image(detector, ImageShape(8, 9, 5))
    pixels, add = 3 * 8 * 9, 2 * 3 * 8 * 9
    assert (found["cpu"].bytes["total"], found["cpu"].launches["total"]) == (add, 1)
    assert (found["lazy"].bytes["prepare"], found["lazy"].launches["prepare"]) == (2 * (pixels + 4 * 4 * 5), 2)
    assert (found["lazy"].bytes["conv"], found["lazy"].launches["conv"]) == (add, 1)


# Against the profiler, which sees what is really carried out

MADE_OF_OTHERS = frozenset(
    {
        *("conv2d", "linear", "max_pool2d", "adaptive_avg_pool2d", "softmax", "dropout", "pad", "grid_sampler"),
        *("to", "contiguous", "flatten", "reshape", "clip", "square", "expand_as", "masked_fill", "constant_pad_nd"),
    }
)
"""Names of operators that call others for all that they do, by hand."""
NO_WORK = frozenset(
    {
        *("view", "t", "transpose", "as_strided", "expand", "slice", "select", "unsqueeze", "squeeze", "permute"),
        *("unbind", "split", "narrow", "detach", "detach_", "lift_fresh", "numpy_T", "result_type"),
        *("empty", "empty_like", "empty_strided", "new_empty"),
    }
)
"""Names of views and allocations, by hand."""


def carried_out(work: Callable[[], object]) -> int:
    """Operators that compute, each at the highest level at which it is one."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen, torch.inference_mode():
        work()

    def computing(event: Any) -> int:
        name = event.name.removeprefix("aten::")
        if name in NO_WORK or "::" not in event.name:
            return 0
        return sum(map(computing, event.cpu_children)) if name in MADE_OF_OTHERS else 1

    return sum(computing(event) for event in seen.events() or () if event.cpu_parent is None)


def mapped(boxes: torch.Tensor) -> torch.Tensor:
    return map_windows(boxes, stride=16, offset_px=3.0, height=14, width=20)


NETWORKS: dict[str, tuple[Work, tuple[int, ...]]] = {
    "convolutions": (
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.LocalResponseNorm(3)),
            *(nn.Conv2d(8, 6, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10)),
            *(nn.Dropout(), nn.Softmax(1)),
        ).eval(),
        (2, 3, 24, 30),
    ),
    "resizing": (lambda x: functional.interpolate(x - 1, size=(20, 30), mode="bilinear"), X),
    "padding": (lambda x: torch.cat([functional.pad(x, (0, 1, 0, 2)), torch.ones(1, 3, 10, 10)]), X),
    "masking": (lambda x: x.masked_fill(x > 0, -1.0).amax((2, 3)), X),
    "windows": (mapped, (6, 4)),
    "crops": (lambda x: sample(torch.ones(3, 20, 30), sources(x, 20, 30, size_px=9, context_px=2)), (6, 4)),
    "regression": (lambda x: clip(decode(x, torch.zeros(6, 5, 4)), 30, 40), (6, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_launches_are_the_operators_that_the_profiler_sees(name: str) -> None:
    """On a CPU, of work that takes the same way there as on a GPU."""
    network, shape = NETWORKS[name]
    x = torch.rand(shape) + torch.arange(shape[-1])
    assert asked(network, shape)[1] == carried_out(lambda: network(x)) > 0


class _Enough(BaseException):
    pass


class _UntilSuppress:
    def enter(self, stage: Stage) -> None:
        if stage is Stage.SUPPRESS:
            raise _Enough

    def leave(self, stage: Stage) -> None: ...

    def progress(self, done: int, total: int, text: str) -> None: ...

    def notice(self, text: str) -> None: ...


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["rcnn", "spp", "fast"])
def test_on_a_gpu_launches_are_about_its_kernels(name: str) -> None:
    """Not more than there are, and not less than a third: cuDNN and top k take several where one is counted."""
    import detectors

    method = detectors.load(name)
    backbone = detectors.load_backbone("mini", "random", generator=torch.Generator().manual_seed(0))
    make: Any = method.detector
    detector = make(20, method.config, backbone, torch.device("cuda"))
    detector.initialise(generator=torch.Generator().manual_seed(0))
    image = torch.randint(256, (3, 375, 500), dtype=torch.uint8)
    low = torch.rand(300, 2) * 200
    boxes = torch.cat([low, low + 20 + torch.rand(300, 2) * 100], dim=1)
    detector.detect(image, boxes)
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as seen:
        try:
            with listening(_UntilSuppress()):
                detector.detect(image, boxes)
        except _Enough:
            pass
        torch.cuda.synchronize()
    kernels = sum(str(event.device_type).endswith("CUDA") for event in seen.events() or ())
    launches = count_image(detector, ImageShape(375, 500, 300)).launches["total"]
    assert kernels / 3 <= launches <= kernels * 1.1
