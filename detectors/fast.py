"""Fast R-CNN: Girshick, "Fast R-CNN", ICCV 2015, arXiv 1504.08083v2.

As in SPP-net the convolutions run once over the image, but each proposal is pooled to a single grid (RoI pooling), and
softmax scores and box offsets are two outputs of one network, trained together with the convolutions under one loss. No
SVMs, no features on disk.

Letters: P proposals, K classes, C channels, B regions of a mini-batch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from detectors.contract import SHARED_POLICY, Detections, Example, FitError, Policy, Stage, stage
from detectors.parts.backbones import Backbone
from detectors.parts.boxes import clip, decode, encode, flip
from detectors.parts.decide import decide
from detectors.parts.head import Head, generator_on
from detectors.parts.modelfile import read_model, write_model
from detectors.parts.pooling import roi_pool
from detectors.parts.regions import Regions
from detectors.parts.resize import resize
from detectors.parts.sampling import Draw, Sampling, draw_images
from detectors.parts.sgd import Sgd, descend
from detectors.parts.targets import Normaliser, box_loss

__all__ = ["METHOD", "FastRCNN", "FastRCNNConfig"]


@dataclass(frozen=True, slots=True)
class FastRCNNConfig:
    """The paper's numbers."""

    iterations: int = 40_000
    """Mini-batches: 30k, then 10k at a tenth of the rate [FRCN 2.3]."""
    policy: Policy = SHARED_POLICY
    short_side_px: int = 600
    long_side_cap_px: int = 1000
    """Single scale [FRCN 5.2]; both in proportion for a backbone trained on smaller crops."""
    images: int = 2
    """Images of a mini-batch [FRCN 2.3]."""
    fc_width: int = 1024
    """Differs from [FRCN 4.1]: 4,096, because fc layers that start random need less width than data."""
    bbox_weight: float = 1.0
    """lambda of the multi-task loss [FRCN 2.3]."""
    sampling: Sampling = field(default_factory=lambda: Sampling(background_iou=0.1))
    sgd: Sgd = field(default_factory=lambda: Sgd(lr=3e-4))
    """Differs from [FRCN 2.3]: a rate of 0.001, because fc layers that start random and regions of only two images give
    gradients that destroy pretrained convolutions at that rate: on drawn shapes the loss then stops falling."""


class _Network(nn.Module):
    """All that is learnt."""

    shown: torch.Tensor

    def __init__(self, backbone: Backbone, n_classes: int, fc_width: int) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        inputs = backbone.geometry.channels * backbone.geometry.pooled**2
        self.head = Head(inputs, fc_width, {"classes": n_classes + 1, "boxes": 4 * n_classes})
        # Softmax gives every class a score; one that had no object in training must not be detected by it.
        self.register_buffer("shown", torch.zeros(n_classes, dtype=torch.bool))


class FastRCNN:
    """The detector."""

    paper: ClassVar[str] = "FRCN"
    needs_proposals: ClassVar[bool] = True
    quick_per_image: ClassVar[int] = 4
    Config: ClassVar[type[FastRCNNConfig]] = FastRCNNConfig
    variants: ClassVar[Mapping[str, FastRCNNConfig]] = {}
    paper_policy: ClassVar[Policy] = Policy(per_class_before=100, iou=0.3, per_image=None)
    """[FRCN lib/fast_rcnn/test.py]. Differs from it: no threshold over the whole test set that leaves 40 detections an
    image and class on average, because detections of one image must not depend on other images; and a box with an IoU
    of exactly 0.3 stays, as in R-CNN, where the release drops it."""

    def __init__(self, n_classes: int, config: FastRCNNConfig, backbone: Backbone, device: torch.device) -> None:
        """Store what it is made of."""
        self.n_classes, self.config, self.device = n_classes, config, device
        self.geometry, self.convention = backbone.geometry, backbone.convention
        self._backbone = backbone
        self._network: _Network | None = None

    @property
    def network(self) -> _Network:
        """What `fit` or `restore` made."""
        if self._network is None:
            raise RuntimeError("detect comes after fit or restore")
        return self._network

    @torch.inference_mode()
    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """Conv once; then RoI pooling, fc, softmax and box offsets for all proposals; suppress [FRCN figure 1]."""
        if len(proposals) == 0:
            return Detections.none()
        with stage(Stage.PREPARE):
            boxes = proposals.to(self.device)
            resized, factors = self._resize(image)
        with stage(Stage.CONV):
            maps = self.network.backbone(resized)
        with stage(Stage.POOL):
            pooled = self._pool(maps, boxes * factors)
        with stage(Stage.FC):
            outputs = self.network.head(pooled)
        with stage(Stage.DECODE):
            scores = outputs["classes"].softmax(dim=1)[:, 1:].masked_fill(~self.network.shown, float("-inf"))
            deltas = outputs["boxes"].view(len(boxes), self.n_classes, 4)
            moved = clip(decode(boxes, deltas), image.shape[1], image.shape[2])
        with stage(Stage.SUPPRESS):
            return decide(moved, scores, self.config.policy)

    def _resize(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = self.convention.apply(image.to(self.device))
        relative = self.geometry.relative_size
        resized, factors = resize(
            pixels,
            short_side_px=round(self.config.short_side_px * relative),
            long_side_cap_px=round(self.config.long_side_cap_px * relative),
        )
        return resized.contiguous(memory_format=torch.channels_last), factors

    def _pool(self, maps: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """RoI features (P, C * 36) of boxes (P, 4) in the resized image."""
        # Differs from [FRCN 2.1]: the released networks are padded until cell 0 looks at pixel 0; where a backbone is
        # not, its own centre of cell 0 is taken off, because half a cell or more of displacement costs accuracy.
        geometry = self.geometry
        return roi_pool(
            maps, boxes, size=geometry.pooled, stride=geometry.stride_px, offset_px=geometry.cell0_px
        ).flatten(1)

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Train the whole network under one loss, classes and boxes together [FRCN 2.3].

        Differs from [FRCN 4.5]: conv1 is trained, too, because the paper freezes it to save time and memory, and found
        that to cost nothing or little.

        Raises:
            FitError: the examples hold no object.
        """
        config = self.config
        regions = [Regions.of(example, self.n_classes) for example in examples]
        with_objects = [bool((item.best_iou >= config.sampling.foreground_iou).any()) for item in regions]
        usable = torch.tensor(with_objects).nonzero().squeeze(1)
        if len(usable) == 0:
            raise FitError("the training images hold no object to learn from")
        with stage(Stage.FINETUNE):
            normaliser = Normaliser.of(regions, self.n_classes, config.sampling.foreground_iou).to(self.device)
            network = self._build()
            labels_shown = torch.cat([item.best_label[: item.n_truth] for item in regions])
            network.shown[labels_shown.to(self.device) - 1] = True
            self._start(network, examples, regions, generator)
            order = _epochs(usable, config.images * config.iterations, generator).split(config.images)
            dropped_by = generator_on(self.device, generator)

            def loss_of(iteration: int) -> torch.Tensor:
                draw = draw_images(regions, config.sampling, order[iteration], generator)
                pooled, targets, labels = self._batch(network, examples, regions, draw)
                outputs = network.head(pooled, dropped_by)
                deltas = outputs["boxes"].view(len(labels), self.n_classes, 4)
                # The multi-task loss [FRCN eq. 1].
                of_boxes = box_loss(deltas, targets, labels, normaliser)
                return functional.cross_entropy(outputs["classes"], labels) + config.bbox_weight * of_boxes

            sgd = config.sgd
            groups = network.head.parameter_groups(list(network.backbone.parameters()), sgd.lr, sgd.new_layer_factor)
            descend(groups, sgd, config.iterations, loss_of)
            normaliser.fold_into(network.head.outputs["boxes"])

    def _start(
        self, network: _Network, examples: Sequence[Example], regions: Sequence[Regions], generator: torch.Generator
    ) -> None:
        first = next(index for index, item in enumerate(regions) if len(item.boxes))
        with torch.no_grad():
            resized, factors = self._resize(examples[first].image)
            typical = self._pool(network.backbone(resized), regions[first].boxes.to(self.device) * factors)
        # N(0, 0.01) for classes, N(0, 0.001) for boxes [FRCN 2.3]
        network.head.start(typical, {"classes": 0.01, "boxes": 0.001}, generator)

    def _batch(
        self, network: _Network, examples: Sequence[Example], regions: Sequence[Regions], draw: Draw
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pooled features (B, C * 36), box targets (B, 4) and labels (B,) of a mini-batch, one conv pass an image."""
        pooled, targets, labels = [], [], []
        for index in draw.image.unique().tolist():
            mine = draw.image == index
            pixels, boxes = examples[index].image, regions[index].boxes[draw.region[mine]]
            matched = regions[index].best_box[draw.region[mine]]
            if bool(draw.flipped[mine][0]):
                width = pixels.shape[2]
                pixels, boxes, matched = pixels.flip(2), flip(boxes, width), flip(matched, width)
            resized, factors = self._resize(pixels)
            pooled.append(self._pool(network.backbone(resized), boxes.to(self.device) * factors))
            targets.append(encode(boxes, matched))
            labels.append(draw.label[mine])
        return torch.cat(pooled), torch.cat(targets).to(self.device), torch.cat(labels).to(self.device)

    def _build(self) -> _Network:
        network = _Network(self._backbone, self.n_classes, self.config.fc_width)
        self._network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self.network

    def save(self, path: Path) -> None:
        """Write all that was learnt to one safetensors file."""
        write_model(self.network, path)

    def restore(self, path: Path) -> None:
        """Read what `save` wrote."""
        read_model(self._build(), path)


def _epochs(items: torch.Tensor, length: int, generator: torch.Generator) -> torch.Tensor:
    """`length` items, each of `items` once before any comes again, in a new random order each time round."""
    rounds = -(-length // len(items))
    return torch.cat([items[torch.randperm(len(items), generator=generator)] for _ in range(rounds)])[:length]


METHOD = FastRCNN
