"""Makes the weights of `mini`: classification of drawn objects, the part that ImageNet plays in the papers.

``python -m harness.pretrain --out detectors/parts/backbones/mini.safetensors`` trains the backbone with a linear
classifier on a 3x3 grid of maxima, and throws the classifier away. It sees pictures of one object at many sizes, as
ImageNet has them, so that the features also hold where an object is smaller or larger than a crop; and crops around the
objects and the clutter of scenes of the split ``pretrain`` of `shapes`, which no comparison reads.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import detectors
from harness.datasets.shapes import CLASSES, Pose, Shapes, draw_scene

__all__ = ["main"]

_CROPS_PER_OBJECT = 6
_CLUTTER_PER_SCENE = 4
_BATCH = 128


def _crop(image: npt.NDArray[np.uint8], box: npt.NDArray[np.float64], side_px: int) -> npt.NDArray[np.uint8]:
    import cv2

    # Maps the crop's pixel centres onto the box; outside the image the crop is mid-grey, which the mean removes.
    scale = np.array([(box[2] - box[0]) / side_px, (box[3] - box[1]) / side_px])
    matrix = np.array([[scale[0], 0, box[0] + scale[0] / 2 - 0.5], [0, scale[1], box[1] + scale[1] / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (side_px, side_px), flags=flags, borderValue=(128, 128, 128)))


def _iou(box: npt.NDArray[np.float64], others: npt.NDArray[np.float32]) -> float:
    if not len(others):
        return 0.0
    overlap = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(axis=1)
    area = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - overlap
    return float((overlap / area).max())


def draw_singles(count: int, seed: int, side_px: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (N, 3, side, side) uint8 of one object each, a quarter to all of the side large, and labels (N,)."""
    rng = np.random.default_rng([seed, 6])
    pictures, labels = [], rng.integers(1, len(CLASSES) + 1, count)
    for label in labels.tolist():
        half = float(np.exp(rng.uniform(np.log(side_px / 8), np.log(side_px / 1.9))))
        stretch = float(np.exp(rng.uniform(-0.25, 0.25)))
        slack = max(0.0, side_px / 2 - 0.8 * half)
        x, y = side_px / 2 + rng.uniform(-slack, slack, 2)
        pose = Pose(x, y, half * stretch, half / stretch, np.radians(rng.uniform(-25, 25)))
        pictures.append(draw_scene(rng, size_px=(side_px, side_px), objects=[(label, pose)]).image)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


def draw_crops(scenes: int, seed: int, side_px: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops (N, 3, side, side) uint8 and their labels (N,): 0 clutter, 1..K objects, moved and scaled at random."""
    rng = np.random.default_rng([seed, 5])
    dataset = Shapes("pretrain", scenes, seed)
    crops, labels = [], []
    for index in range(scenes):
        image, truth = dataset.image(index), dataset.truth(index)
        for box, label in zip(truth.boxes.astype(np.float64), truth.labels, strict=True):
            size = np.tile(box[2:] - box[:2], 2)
            for _ in range(_CROPS_PER_OBJECT):
                moved = box + rng.uniform(-0.16, 0.16, 4) * size
                crops.append(_crop(image, moved + np.array([-1, -1, 1, 1]) * 0.08 * size, side_px))
                labels.append(int(label))
        for _ in range(_CLUTTER_PER_SCENE):
            centre, half = rng.uniform(0, image.shape[1::-1]), np.exp(rng.uniform(np.log(10), np.log(70), 2))
            box = np.concatenate([centre - half, centre + half])
            if _iou(box, truth.boxes) < 0.3:
                crops.append(_crop(image, box, side_px))
                labels.append(0)
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def main(arguments: list[str] | None = None) -> int:
    """Train and write the weights file."""
    parser = argparse.ArgumentParser(prog="python -m harness.pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--pictures", type=int, default=60_000, help="drawn pictures of one object")
    parser.add_argument("--scenes", type=int, default=2500, help="scenes that crops are cut from")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    generator = torch.Generator().manual_seed(options.seed)
    backbone = detectors.load_backbone("mini", "random", generator=generator)
    side_px = backbone.geometry.crop_px
    parts = draw_singles(options.pictures, options.seed, side_px), draw_crops(options.scenes, options.seed, side_px)
    crops, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    print(f"{len(crops)} crops drawn", file=sys.stderr)  # noqa: T201  (a command of its own)
    head = nn.Sequential(nn.AdaptiveMaxPool2d(3), nn.Flatten(), nn.Dropout(0.3))
    linear = nn.Linear(9 * backbone.geometry.channels, len(CLASSES) + 1)
    nn.init.normal_(linear.weight, std=0.01, generator=generator)
    nn.init.zeros_(linear.bias)
    model = nn.Sequential(backbone.features, head, linear).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    steps = options.epochs * (len(crops) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.02, total_steps=steps)
    step, right = 0, 0.0
    while step < steps:
        order = torch.randperm(len(crops), generator=generator)
        for picked in order[: len(order) // _BATCH * _BATCH].split(_BATCH):
            batch = torch.stack([backbone.convention.apply(crop) for crop in crops[picked]])
            flipped = torch.rand(len(batch), generator=generator) < 0.5
            batch[flipped] = batch[flipped].flip(3)
            scores = model(batch.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(scores, labels[picked])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            right = 0.99 * right + 0.01 * float((scores.argmax(1) == labels[picked]).float().mean())
            step += 1
            if step % 100 == 0:
                print(f"{step}/{steps} loss {loss:.3f} right {right:.3f}", file=sys.stderr, flush=True)  # noqa: T201
            if step == steps:
                break
    _write(
        options.out,
        backbone,
        seed=options.seed,
        pictures=options.pictures,
        scenes=options.scenes,
        epochs=options.epochs,
    )
    return 0


def _write(path: Path, backbone: detectors.Backbone, **settings: int) -> None:
    from safetensors.torch import save_file

    state = {f"features.{key}": value.contiguous() for key, value in backbone.features.state_dict().items()}
    made = " ".join(f"--{key} {value}" for key, value in settings.items())
    metadata = {"input": str(backbone.convention), "source": f"python -m harness.pretrain {made}", "license": "MIT"}
    save_file(state, str(path), metadata)
    print(f"{path}: sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
