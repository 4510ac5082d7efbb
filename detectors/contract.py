"""All that crosses the border between a detector and whoever runs it.

Letters, the same everywhere: P proposals, G ground-truth boxes, D detections, K foreground classes, C H W channels,
height and width of an image or feature map. Label 0 is background, 1..K are the foreground classes.

Conventions, fixed once: an image is RGB uint8 ``(3, H, W)``; a box is float32 ``x1 y1 x2 y2`` in 0-based pixels,
half-open, so that its width is ``x2 - x1`` and the whole image is ``0 0 W H``.

A detector marks its work with ``with stage(Stage.CONV):`` and says how far a long fit has come with ``progress``. It
never reads a clock and never synchronises a device: what a mark costs or means is up to whoever listens, and while
nobody listens a mark does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch

__all__ = [
    "SHARED_POLICY",
    "Detections",
    "Detector",
    "Example",
    "FitError",
    "Listener",
    "Policy",
    "SettingsError",
    "Stage",
    "after_network",
    "detect_only",
    "fit_settings",
    "is_out_of_memory",
    "listening",
    "network_settings",
    "notice",
    "progress",
    "stage",
]


T = TypeVar("T")
_DETECT_ONLY, _AFTER_NETWORK = "detect_only", "after_network"
_OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
)


class Stage(StrEnum):
    """What a detector may be doing. The list is closed, so that tables stay rectangular."""

    PREPARE = "prepare"
    """Mean subtraction, resizing, cropping, warping."""
    PROPOSE = "propose"
    """Making boxes inside the detector; empty for the three methods here, which are given theirs."""
    CONV = "conv"
    POOL = "pool"
    FC = "fc"
    DECODE = "decode"
    """Class scores and box regression."""
    SUPPRESS = "suppress"
    """Threshold, top k, non-maximum suppression."""

    FINETUNE = "finetune"
    FEATURES = "features"
    SVM = "svm"
    REGRESS = "regress"

    @classmethod
    def of_detecting(cls) -> tuple[Stage, ...]:
        """The stages of `detect`, in the order in which they happen."""
        return (cls.PREPARE, cls.PROPOSE, cls.CONV, cls.POOL, cls.FC, cls.DECODE, cls.SUPPRESS)

    @classmethod
    def of_fitting(cls) -> tuple[Stage, ...]:
        """The stages of `fit`."""
        return (cls.FINETUNE, cls.FEATURES, cls.SVM, cls.REGRESS)


class Listener(Protocol):
    """Hears the marks of one detector call."""

    def enter(self, stage: Stage) -> None:
        """A stage begins."""

    def leave(self, stage: Stage) -> None:
        """The stage that began last ends, also when it ends by an exception."""

    def progress(self, done: int, total: int, text: str) -> None:
        """`done` of `total` steps of the current stage are over; `text` is a short state such as a loss."""

    def notice(self, text: str) -> None:
        """Something happened that a reader of the results must know, in one line."""


_listener: ContextVar[Listener | None] = ContextVar("detectors.contract.listener", default=None)


class stage:
    """Mark the enclosed work as one stage: ``with stage(Stage.CONV):``, hence the lower case.

    A class and not a generator, because it stands inside timed code.
    """

    __slots__ = ("_stage",)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        listener = _listener.get()
        if listener is not None:
            listener.enter(self._stage)

    def __exit__(self, *exc: object) -> None:
        listener = _listener.get()
        if listener is not None:
            listener.leave(self._stage)


def progress(done: int, total: int, text: str = "") -> None:
    """Tell whoever listens how far the current stage of `fit` has come."""
    listener = _listener.get()
    if listener is not None:
        listener.progress(done, total, text)


def notice(text: str) -> None:
    """Tell whoever listens what a reader of the results must know, such as a batch that had to be halved."""
    listener = _listener.get()
    if listener is not None:
        listener.notice(text)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear the marks made in the enclosed block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def _expect(condition: bool, what: str, expected: str, got: object) -> None:
    if not condition:
        raise ValueError(f"{what}: expected {expected}, got {got}")


def _check_boxes(what: str, boxes: torch.Tensor) -> None:
    _expect(boxes.dtype == torch.float32, what, "float32", boxes.dtype)
    _expect(boxes.ndim == 2 and boxes.shape[1] == 4, what, "shape (N, 4)", tuple(boxes.shape))


@dataclass(frozen=True, slots=True)
class Example:
    """One image with all that a detector may see when it is fitted."""

    id: str
    """The image's name in its data set."""
    image: torch.Tensor
    """uint8 (3, H, W), RGB, 0..255, on the CPU."""
    boxes: torch.Tensor
    """float32 (G, 4) px, ground truth, half-open. G may be 0."""
    labels: torch.Tensor
    """int64 (G,), 1..K."""
    difficult: torch.Tensor
    """bool (G,): objects that the VOC evaluation leaves out."""
    proposals: torch.Tensor
    """float32 (P, 4) px, best first, half-open. P may be 0."""

    def __post_init__(self) -> None:
        _expect(self.image.dtype == torch.uint8, f"image of {self.id}", "uint8", self.image.dtype)
        _expect(
            self.image.ndim == 3 and self.image.shape[0] == 3,
            f"image of {self.id}",
            "shape (3, H, W)",
            tuple(self.image.shape),
        )
        _check_boxes(f"boxes of {self.id}", self.boxes)
        _check_boxes(f"proposals of {self.id}", self.proposals)
        count = len(self.boxes)
        _expect(self.labels.shape == (count,), f"labels of {self.id}", f"shape ({count},)", tuple(self.labels.shape))
        _expect(
            self.difficult.shape == (count,),
            f"difficult of {self.id}",
            f"shape ({count},)",
            tuple(self.difficult.shape),
        )
        _expect(count == 0 or int(self.labels.min()) >= 1, f"labels of {self.id}", "1..K", self.labels.tolist())


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector says of one image. On the CPU."""

    boxes: torch.Tensor
    """float32 (D, 4) px, half-open, inside the image."""
    scores: torch.Tensor
    """float32 (D,), falling. Comparable within one class; across classes only as far as the method calibrates them."""
    labels: torch.Tensor
    """int64 (D,), 1..K."""

    def __post_init__(self) -> None:
        _check_boxes("boxes", self.boxes)
        count = len(self.boxes)
        _expect(self.scores.shape == (count,), "scores", f"shape ({count},)", tuple(self.scores.shape))
        _expect(self.labels.shape == (count,), "labels", f"shape ({count},)", tuple(self.labels.shape))
        _expect(bool((self.scores[1:] <= self.scores[:-1]).all()), "scores", "falling order", self.scores.tolist())

    @classmethod
    def none(cls) -> Detections:
        """No detections."""
        return cls(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


@dataclass(frozen=True, slots=True)
class Policy:
    """How scored boxes become detections.

    In this order: drop scores not above `min_score`; keep the `per_class_before` best of each class; within a class
    drop a box whose IoU with a better kept one is above `iou`; keep the `per_class_after` best of each class; keep the
    `per_image` best of all classes. None means no limit.
    """

    min_score: float | None = None
    per_class_before: int | None = 100
    iou: float = 0.3
    per_class_after: int | None = None
    per_image: int | None = 100


SHARED_POLICY = Policy()
"""The policy of every headline number: the same for all methods, so that none is paid for a looser one."""


class FitError(ValueError):
    """The training data cannot fit this detector; the message says why in one line."""


class SettingsError(ValueError):
    """A method cannot have these settings with this backbone; the message says why, in one line."""


def detect_only(default: T) -> T:
    """A default for a field of a `Config` on which detecting depends and fitting does not.

    Detectors of one class whose settings differ in such fields alone can share one fitted model.
    """
    return field(default=default, metadata={_DETECT_ONLY: True})


def after_network(default: T) -> T:
    """A default for a field of a `Config` on which only what is learnt after the network depends, as SVMs are.

    Detectors of one class whose settings differ in such fields, too, can share one fine-tuned network.
    """
    return field(default=default, metadata={_AFTER_NETWORK: True})


def fit_settings(config: Any) -> dict[str, Any]:
    """The fields of a `Config`, by name, on which a fit depends."""
    return {one.name: getattr(config, one.name) for one in fields(config) if not one.metadata.get(_DETECT_ONLY)}


def network_settings(config: Any) -> dict[str, Any]:
    """The fields of a `Config`, by name, on which its fine-tuned network depends."""
    later = {one.name for one in fields(config) if one.metadata.get(_AFTER_NETWORK)}
    return {name: value for name, value in fit_settings(config).items() if name not in later}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in any of the ways in which PyTorch says so."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU's allocator, the CUDA runtime and its libraries have no exception class of their own.
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


class MethodConfig(Protocol):
    """What every method's frozen `Config` has, whatever else it has. Defaults are the paper's numbers."""

    @property
    def iterations(self) -> int:
        """Mini-batches of fine-tuning."""

    @property
    def policy(self) -> Policy:
        """How scored boxes become detections."""


class Detector(Protocol):
    """One method. The constructor stores and does no work; `fit`, `initialise` or `restore` come before `detect`.

    It is called with (n_classes, config, backbone, device) and raises SettingsError where those do not go together.

    It may have two attributes more. ``score_kind``, ``softmax`` or ``svm``, says from which score on a detection is
    worth showing: a probability of 0.5, or a positive margin. ``resolved`` holds settings that its config leaves open
    to the network, by field, as this detector took them.
    """

    paper: ClassVar[str]
    """Key of its paper in the reference tables, such as ``RCNN``."""
    needs_proposals: ClassVar[bool]
    """Whether `detect` looks at the boxes that it is given."""
    quick_per_image: ClassVar[int]
    """Mini-batches of fine-tuning for each training image in a quick comparison: enough to learn a small data set from
    pretrained convolutions. The paper's own number is the default of ``Config.iterations``."""
    Config: ClassVar[type[Any]]
    """Its frozen dataclass of settings; has at least what `MethodConfig` has."""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Named changes to the default settings, by field: ``spp:5`` is ``Config(**variants["5"])`` of the method ``spp``,
    and ``spp:5:pool5`` the one with the other laid over it."""
    paper_policy: ClassVar[Policy]
    """The paper's own way from scored boxes to detections."""

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Learn from `examples`. All randomness comes from `generator` (CPU); scratch files go to `workdir`.

        A file of `workdir` whose name begins with ``shared-`` is offered to the later fits of the same class and
        network: it must be written whole under another name that ends in ``.unfinished`` and renamed, be named by a
        digest of all that decides it, never be changed afterwards, and be taken up where one of that name is found.

        Raises:
            FitError: the examples hold no object at all. A class without one is never detected afterwards.
        """

    def initialise(self, *, generator: torch.Generator) -> None:
        """Draw at random all that `fit` would learn, in its place, for measuring speed alone.

        The detections mean nothing, but as much is computed for them as after a fit.
        """

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """Detect in one image, uint8 (3, H, W), given float32 (P, 4) boxes on the CPU; both stay unchanged."""

    def save(self, path: Path) -> None:
        """Write what `fit` learnt to one file."""

    def restore(self, path: Path) -> None:
        """Read what `save` wrote."""
