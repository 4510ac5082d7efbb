"""`shapes`: VOC-style scenes that are drawn from a seed, so that a comparison needs no download.

Eight classes that differ in outline and hole alone. Fill colours, textures and backgrounds come from the same
distributions for every class, so a detector that looks at colour learns where something is, not what it is. A scene has
one to five objects from 26 to 170 px, turned by up to 25 degrees, stretched, textured, partly hidden by each other and
by bars, among distractors of no class. As in PASCAL VOC a box encloses the visible part of its object, and objects that
are mostly hidden or tiny carry `difficult`.

Scene i of a split depends on (seed, split, i) and the size alone: a longer split begins with the shorter one, and the
splits `pretrain`, `train`, `val` and `test` never share a random stream.

Each scene has a size of its own, about 220 px a side. ``shapes:500x375`` gives all the same, width before height: that
of most photographs in VOC, for timings that are to be laid beside those of the papers. Objects stay as large as they
are, in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.datasets import DatasetError, Truth

__all__ = ["CLASSES", "SPLITS", "Pose", "Scene", "Shapes", "draw_scene"]

Plane = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SPLITS = {"pretrain": 1, "train": 2, "val": 3, "test": 4}
"""Key of each split in the seed sequence. Changing one changes every published number on `shapes`."""

_MIN_SIDE_PX, _MAX_SIDE_PX = 64, 2048
"""A size that is asked for: room for an object, and scenes that a machine's memory holds."""
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")

_SAMPLES = 3
"""Edges are smoothed by this many samples a pixel side."""
_DIFFICULT_VISIBLE = 0.55
"""An object of which less is visible is `difficult`."""
_DIFFICULT_SIDE_PX = 20
_DROPPED_VISIBLE = 0.12
"""An object of which less is visible is not annotated, as in VOC."""


def _disc(u: Plane, v: Plane) -> Mask:
    return u * u + v * v < 1


def _ring(u: Plane, v: Plane) -> Mask:
    radius2 = u * u + v * v
    return (radius2 < 1) & (radius2 > 0.55**2)


def _square(u: Plane, v: Plane) -> Mask:
    return (np.abs(u) < 0.86) & (np.abs(v) < 0.86)


def _triangle(u: Plane, v: Plane) -> Mask:
    return (v < 0.75) & (v > -1 + 1.9 * np.abs(u))


def _star(u: Plane, v: Plane) -> Mask:
    # Five spikes: in each sector of 72 degrees the edge is the straight line from a tip (radius 1) to a notch (0.42).
    sector = np.pi / 5
    angle = np.abs((np.arctan2(u, -v) + sector) % (2 * sector) - sector)
    radius = np.hypot(u, v)
    tip, notch = np.array([1.0, 0.0]), 0.42 * np.array([np.cos(sector), np.sin(sector)])
    along = notch - tip
    x, y = radius * np.cos(angle) - tip[0], radius * np.sin(angle) - tip[1]
    return np.asarray(along[0] * y - along[1] * x > 0)


def _cross(u: Plane, v: Plane) -> Mask:
    inside = (np.abs(u) < 0.95) & (np.abs(v) < 0.95)
    return inside & ((np.abs(u) < 0.32) | (np.abs(v) < 0.32))


def _crescent(u: Plane, v: Plane) -> Mask:
    return (u * u + v * v < 1) & ((u - 0.55) ** 2 + v * v > 0.8**2)


def _heart(u: Plane, v: Plane) -> Mask:
    x, y = 1.2 * u, -1.25 * v + 0.12
    return (x * x + y * y - 1) ** 3 < x * x * y**3


_OUTLINES: dict[str, Callable[[Plane, Plane], Mask]] = {
    "crescent": _crescent,
    "cross": _cross,
    "disc": _disc,
    "heart": _heart,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}
"""Each takes coordinates in a frame where the object fills about [-1, 1] x [-1, 1], v pointing down."""

CLASSES = tuple(_OUTLINES)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a figure stands and how it is turned and stretched."""

    x: float
    y: float
    half_width: float
    half_height: float
    turn: float

    def window(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of an image that the figure may reach."""
        reach = 1.45 * max(self.half_width, self.half_height) + 1
        rows = slice(max(0, int(self.y - reach)), min(height, int(self.y + reach) + 1))
        columns = slice(max(0, int(self.x - reach)), min(width, int(self.x + reach) + 1))
        return rows, columns

    def coverage(self, outline: Callable[[Plane, Plane], Mask], rows: slice, columns: slice) -> Plane:
        """Share of each pixel of the window that lies inside the outline."""
        step = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
        ys = (np.arange(rows.start, rows.stop)[:, None] + step).reshape(-1, 1) - self.y
        xs = (np.arange(columns.start, columns.stop)[:, None] + step).reshape(1, -1) - self.x
        u = (np.cos(self.turn) * xs + np.sin(self.turn) * ys) / self.half_width
        v = (np.cos(self.turn) * ys - np.sin(self.turn) * xs) / self.half_height
        inside = outline(u, v).astype(np.float64)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        return np.asarray(inside.reshape(height, _SAMPLES, width, _SAMPLES).mean(axis=(1, 3)))


@dataclass(slots=True)
class _Canvas:
    """A scene while it is drawn: colours, and which object owns each pixel (-1: none)."""

    pixels: npt.NDArray[np.float64]
    owner: npt.NDArray[np.int64]
    areas: list[int] = field(default_factory=list)

    def paint(self, pose: Pose, outline: Callable[[Plane, Plane], Mask], fill: Callable[[int, int], Plane]) -> Mask:
        """Paint a figure over what is there; say which pixels of the whole canvas it took."""
        rows, columns = pose.window(*self.owner.shape)
        taken = np.zeros(self.owner.shape, dtype=np.bool_)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return taken
        alpha = pose.coverage(outline, rows, columns)[..., None]
        patch = self.pixels[rows, columns]
        self.pixels[rows, columns] = (1 - alpha) * patch + alpha * fill(*patch.shape[:2])
        taken[rows, columns] = alpha[..., 0] >= 0.5
        self.owner[taken] = -1
        return taken

    def paint_object(self, *figure: object) -> None:
        taken = self.paint(*figure)  # type: ignore[arg-type]
        self.owner[taken] = len(self.areas)
        self.areas.append(int(taken.sum()))


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Plane:
    """(H, W, 3) noise in about [-1, 1] that varies over 1/`cells` of the image, by linear interpolation."""

    def weights(length: int) -> Plane:
        position = np.linspace(0, cells, length)
        left = np.minimum(position.astype(np.int64), cells - 1)
        matrix = np.zeros((length, cells + 1))
        matrix[np.arange(length), left] = 1 - (position - left)
        matrix[np.arange(length), left + 1] = position - left
        return matrix

    noise = rng.uniform(-1, 1, (cells + 1, cells + 1, 3))
    rows = (weights(height) @ noise.reshape(cells + 1, -1)).reshape(height, cells + 1, 3)
    return np.asarray(np.swapaxes(np.swapaxes(rows, 1, 2) @ weights(width).T, 1, 2))


def _fill(rng: np.random.Generator, colour: Plane) -> Callable[[int, int], Plane]:
    """A texture around a colour: plain, shaded, striped or speckled. The same choice for objects and distractors."""
    kind = rng.integers(4)
    other = np.clip(colour + rng.uniform(-60, 60, 3), 0, 255)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 14)

    def fill(height: int, width: int) -> Plane:
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        across = np.cos(angle) * x + np.sin(angle) * y
        if kind == 0:
            share = np.zeros((height, width))
        elif kind == 1:
            share = (across - across.min()) / max(float(np.ptp(across)), 1.0)
        elif kind == 2:
            share = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * across / period))
        else:
            share = (rng.random((height, width)) < 0.3).astype(np.float64)
        return np.asarray((1 - share[..., None]) * colour + share[..., None] * other)

    return fill


def _distractor(rng: np.random.Generator, height: int, width: int) -> tuple[Pose, Callable[[Plane, Plane], Mask]]:
    """A figure of no class: a bar, a slab of two half-planes, or a blob with a wavy edge."""
    x, y, turn = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, np.pi)
    size = float(np.exp(rng.uniform(np.log(8), np.log(60))))
    if rng.random() < 0.5:
        return Pose(x, y, size, rng.uniform(1.5, 5), turn), _square
    waves = rng.uniform(-0.3, 0.3, 4), rng.uniform(0, 2 * np.pi, 4)

    def blob(u: Plane, v: Plane) -> Mask:
        angle = np.arctan2(v, u)
        edge = 0.7 + sum(a * np.sin((k + 2) * angle + p) for k, (a, p) in enumerate(zip(*waves, strict=True)))
        return np.asarray(np.hypot(u, v) < edge)

    return Pose(x, y, size * rng.uniform(0.5, 1), size * rng.uniform(0.5, 1), turn), blob


def _contrasting(rng: np.random.Generator, near: Plane) -> Plane:
    """A colour that differs from `near` by at least 70 of 441 (the longest distance in RGB)."""
    while True:
        colour = rng.uniform(10, 245, 3)
        if np.linalg.norm(colour - near) > 70:
            return np.asarray(colour)


def _place(rng: np.random.Generator, height: int, width: int, placed: list[tuple[float, float, float]]) -> Pose | None:
    """A pose that hides no placed object wholly: centres stay apart by half of the two radii together."""
    for _ in range(20):
        half = float(np.exp(rng.uniform(np.log(13), np.log(84))))
        stretch = float(np.exp(rng.uniform(-0.25, 0.25)))
        x, y = rng.uniform(0.5 * half, width - 0.5 * half), rng.uniform(0.5 * half, height - 0.5 * half)
        if half > 0.46 * min(height, width):
            continue
        if all(np.hypot(x - px, y - py) > 0.5 * (half + ph) for px, py, ph in placed):
            placed.append((x, y, half))
            return Pose(x, y, half * stretch, half / stretch, np.radians(rng.uniform(-25, 25)))
    return None


@dataclass(frozen=True, slots=True)
class Scene:
    """One drawn image with its objects."""

    image: npt.NDArray[np.uint8]
    truth: Truth


def _annotate(canvas: _Canvas, labels: list[int]) -> Truth:
    boxes, kept, difficult = [], [], []
    for index, (label, area) in enumerate(zip(labels, canvas.areas, strict=True)):
        rows, columns = np.nonzero(canvas.owner == index)
        if area == 0 or len(rows) < _DROPPED_VISIBLE * area or len(rows) < 12:
            continue
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        small = min(box[2] - box[0], box[3] - box[1]) < _DIFFICULT_SIDE_PX
        boxes.append(box)
        kept.append(label)
        difficult.append(bool(small or len(rows) < _DIFFICULT_VISIBLE * area))
    return Truth(
        np.asarray(boxes, dtype=np.float32).reshape(-1, 4),
        np.asarray(kept, dtype=np.int64),
        np.asarray(difficult, dtype=np.bool_),
    )


def draw_scene(
    rng: np.random.Generator, *, size_px: tuple[int, int] | None = None, objects: list[tuple[int, Pose]] | None = None
) -> Scene:
    """Draw one scene. Size (height, width) and objects (label, pose) are drawn from `rng` unless they are given."""
    height, width = size_px or (int(rng.integers(168, 272)), int(rng.integers(168, 272)))
    base = rng.uniform(20, 235, 3)
    pixels = base + 35 * _smooth_noise(rng, height, width, 3) + 18 * _smooth_noise(rng, height, width, 24)
    canvas = _Canvas(pixels, np.full((height, width), -1, dtype=np.int64))
    density = height * width / 220**2
    for _ in range(round(rng.integers(3, 9) * density)):
        canvas.paint(*_distractor(rng, height, width), _fill(rng, rng.uniform(10, 245, 3)))
    if objects is None:
        placed: list[tuple[float, float, float]] = []
        poses = [_place(rng, height, width, placed) for _ in range(int(rng.integers(1, 6)))]
        objects = [(int(rng.integers(1, len(CLASSES) + 1)), pose) for pose in poses if pose is not None]
    for label, pose in objects:
        rows, columns = pose.window(height, width)
        near = canvas.pixels[rows, columns].mean(axis=(0, 1))
        canvas.paint_object(pose, _OUTLINES[CLASSES[label - 1]], _fill(rng, _contrasting(rng, near)))
        if rng.random() < 0.3:
            bar = Pose(
                pose.x + rng.uniform(-0.6, 0.6) * pose.half_width,
                pose.y + rng.uniform(-0.6, 0.6) * pose.half_height,
                1.5 * pose.half_width,
                0.11 * pose.half_height,
                rng.uniform(0, np.pi),
            )
            canvas.paint(bar, _square, _fill(rng, rng.uniform(10, 245, 3)))
    image = np.clip(canvas.pixels + rng.normal(0, 5, canvas.pixels.shape), 0, 255).round().astype(np.uint8)
    return Scene(image, _annotate(canvas, [label for label, _ in objects]))


@lru_cache(maxsize=2048)
def _scene(seed: int, split: str, index: int) -> Scene:
    return draw_scene(np.random.default_rng([seed, SPLITS[split], index]))


@lru_cache(maxsize=128)
def _sized_scene(seed: int, split: str, index: int, size_px: tuple[int, int]) -> Scene:
    """Of these fewer are kept, since they may be large."""
    return draw_scene(np.random.default_rng([seed, SPLITS[split], index]), size_px=size_px)


@dataclass(frozen=True, slots=True)
class Shapes:
    """`length` scenes of one split."""

    split: str
    length: int
    seed: int = 0
    size_px: tuple[int, int] | None = None
    """Height and width of every scene; None: each has its own."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise DatasetError(f"shapes has no split {self.split!r}; there are {', '.join(SPLITS)}")
        if self.length < 1:
            raise DatasetError(f"shapes needs at least 1 image, got {self.length}")
        if self.size_px is not None and not all(_MIN_SIDE_PX <= side <= _MAX_SIDE_PX for side in self.size_px):
            raise DatasetError(f"{self.name}: sides go from {_MIN_SIDE_PX} to {_MAX_SIDE_PX} px, as in shapes:500x375")

    @classmethod
    def of(cls, size: str, split: str, length: int) -> Shapes:
        """Scenes of the size that follows the colon of ``shapes:500x375``; of their own where it is empty.

        Raises:
            DatasetError: no such split or size, or no image.
        """
        if not size:
            return cls(split, length)
        found = _SIZE.fullmatch(size)
        if found is None:
            raise DatasetError(
                f"no data set 'shapes:{size}'; write shapes:WIDTHxHEIGHT in pixels, as in shapes:500x375"
            )
        width, height = (int(side) for side in found.groups())
        return cls(split, length, size_px=(height, width))

    @property
    def name(self) -> str:
        """How the command line names it."""
        return "shapes" if self.size_px is None else f"shapes:{self.size_px[1]}x{self.size_px[0]}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Eight outlines, in alphabetical order."""
        return CLASSES

    @property
    def ids(self) -> tuple[str, ...]:
        """``test-000000`` and so on."""
        return tuple(f"{self.split}-{index:06d}" for index in range(self.length))

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB, (H, W, 3)."""
        return self._drawn(index).image

    def truth(self, index: int) -> Truth:
        """Visible extents, half-open."""
        return self._drawn(index).truth

    def _drawn(self, index: int) -> Scene:
        if self.size_px is None:
            return _scene(self.seed, self.split, index)
        return _sized_scene(self.seed, self.split, index, self.size_px)
