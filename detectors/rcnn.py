"""R-CNN: Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and semantic
segmentation", CVPR 2014, arXiv 1311.2524v5.

Every proposal is cut out of the image with some context, warped to the network's input size and sent through the whole
network by itself. Linear SVMs score the fc7 features, one per class, and a ridge regressor on the pooled features moves
the box. The network is fine-tuned first, all layers, to tell the classes and background apart on warped proposals.

Letters: P proposals, K classes, C channels of the last feature map, N crops of a chunk.
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

from detectors.contract import SHARED_POLICY, Detections, Example, Policy, Stage, stage
from detectors.parts.backbones import Backbone
from detectors.parts.boxes import clip, decode
from detectors.parts.crops import warp
from detectors.parts.decide import decide
from detectors.parts.head import Head, generator_on
from detectors.parts.modelfile import read_model, write_model
from detectors.parts.posthoc import PostHoc, RidgeSettings, fit_posthoc
from detectors.parts.regions import Regions
from detectors.parts.sampling import Draw, Sampling, draw_regions
from detectors.parts.sgd import Sgd, descend
from detectors.parts.svm import SvmSettings

__all__ = ["METHOD", "RCNN", "RCNNConfig"]


@dataclass(frozen=True, slots=True)
class RCNNConfig:
    """The paper's numbers."""

    iterations: int = 70_000
    """Mini-batches of fine-tuning; the released model is of iteration 70k [RCNN data/README.md]."""
    policy: Policy = SHARED_POLICY
    context_px: int = 16
    """Image context around a box in the warped crop, for a 227-px crop [RCNN App. A]."""
    chunk: int = 256
    """Crops of one forward pass (rcnn_create_model.m)."""
    fc_width: int = 1024
    """Differs from [RCNN 2.1]: 4,096, because fc layers that start random need less width than data."""
    sampling: Sampling = field(default_factory=Sampling)
    sgd: Sgd = field(default_factory=Sgd)
    svm: SvmSettings = field(default_factory=SvmSettings)
    ridge: RidgeSettings = field(default_factory=RidgeSettings)


class _Network(nn.Module):
    """All that is learnt."""

    def __init__(self, backbone: Backbone, n_classes: int, fc_width: int) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        self.pooled = backbone.geometry.channels * backbone.geometry.pooled**2
        self.head = Head(self.pooled, fc_width, {"classes": n_classes + 1})
        self.posthoc = PostHoc(n_classes, fc_width, self.pooled)


class RCNN:
    """The detector."""

    paper: ClassVar[str] = "RCNN"
    needs_proposals: ClassVar[bool] = True
    quick_per_image: ClassVar[int] = 1
    Config: ClassVar[type[RCNNConfig]] = RCNNConfig
    variants: ClassVar[Mapping[str, RCNNConfig]] = {}
    paper_policy: ClassVar[Policy] = Policy(per_class_before=100, iou=0.3, per_image=None)
    """[RCNN rcnn_test.m]. Differs from it: no threshold over the whole test set that leaves 40 detections an image on
    average, because detections of one image must not depend on other images."""

    def __init__(self, n_classes: int, config: RCNNConfig, backbone: Backbone, device: torch.device) -> None:
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
        """Warp, conv, pool, fc for every proposal; then score, regress, suppress [RCNN 2.2, figure 1]."""
        if len(proposals) == 0:
            return Detections.none()
        with stage(Stage.PREPARE):
            pixels = self.convention.apply(image.to(self.device))
            boxes = proposals.to(self.device)
        pooled, features = self._describe(pixels, boxes)
        with stage(Stage.DECODE):
            scores = self.network.posthoc.scores(features)
            moved = clip(decode(boxes, self.network.posthoc.deltas(pooled)), image.shape[1], image.shape[2])
        with stage(Stage.SUPPRESS):
            return decide(moved, scores, self.config.policy)

    def _describe(self, pixels: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled features (P, C * 36) and fc7 (P, width) of boxes in a normalised image (3, H, W)."""
        pooled, features = [], []
        for chunk in boxes.split(self.config.chunk):
            with stage(Stage.PREPARE):
                crops = self._crops(pixels, chunk)
            with stage(Stage.CONV):
                maps = self.network.backbone(crops)
            with stage(Stage.POOL):
                pooled.append(self._pool(maps))
            with stage(Stage.FC):
                features.append(self.network.head.features(pooled[-1]))
        return torch.cat(pooled), torch.cat(features)

    def _crops(self, pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        size_px = self.geometry.crop_px
        context_px = round(self.config.context_px * size_px / 227)
        crops = warp(pixels, boxes, size_px=size_px, context_px=context_px)
        return crops.contiguous(memory_format=torch.channels_last)

    def _pool(self, maps: torch.Tensor) -> torch.Tensor:
        # AlexNet's pool5 leaves a 6x6 grid; the backbones here have none, so it is cut as the pyramid's 6x6 level.
        return functional.adaptive_max_pool2d(maps, self.geometry.pooled).flatten(1)

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Fine-tune the whole network, then train SVMs and box regressors on its features [RCNN 2.3, App. B, C].

        Raises:
            FitError: the examples hold no object.
        """
        regions = [Regions.of(example, self.n_classes) for example in examples]
        network = self._build()
        with stage(Stage.FINETUNE):
            self._finetune(network, examples, regions, generator)
        network.eval()

        @torch.inference_mode()
        def extract(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            pixels = self.convention.apply(examples[index].image.to(self.device))
            return self._describe(pixels, boxes.to(self.device))

        fit_posthoc(
            network.posthoc, regions, extract, svm=self.config.svm, ridge=self.config.ridge, generator=generator
        )

    def _build(self) -> _Network:
        network = _Network(self._backbone, self.n_classes, self.config.fc_width)
        self._network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self.network

    def _finetune(
        self, network: _Network, examples: Sequence[Example], regions: Sequence[Regions], generator: torch.Generator
    ) -> None:
        draws = draw_regions(regions, self.config.sampling, self.config.iterations + 1, generator)

        def crops_of(draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
            crops, labels = [], []
            for index in draw.image.unique().tolist():
                mine = draw.image == index
                pixels = self.convention.apply(examples[index].image.to(self.device))
                cut = self._crops(pixels, regions[index].boxes[draw.region[mine]].to(self.device))
                flipped = draw.flipped[mine].to(self.device).view(-1, 1, 1, 1)
                crops.append(torch.where(flipped, cut.flip(3), cut))
                labels.append(draw.label[mine])
            return torch.cat(crops), torch.cat(labels).to(self.device)

        with torch.no_grad():
            typical = self._pool(network.backbone(crops_of(draws.pop())[0]))
        network.head.start(typical, {"classes": 0.01}, generator)  # fc8: Gaussian, deviation 0.01 [SPP 4.1]
        dropped_by = generator_on(self.device, generator)

        def loss_of(iteration: int) -> torch.Tensor:
            crops, labels = crops_of(draws[iteration])
            pooled = self._pool(network.backbone(crops.contiguous(memory_format=torch.channels_last)))
            return functional.cross_entropy(network.head(pooled, dropped_by)["classes"], labels)

        sgd = self.config.sgd
        groups = network.head.parameter_groups(list(network.backbone.parameters()), sgd.lr, sgd.new_layer_factor)
        descend(groups, sgd, self.config.iterations, loss_of)

    def save(self, path: Path) -> None:
        """Write all that was learnt to one safetensors file."""
        write_model(self.network, path)

    def restore(self, path: Path) -> None:
        """Read what `save` wrote."""
        read_model(self._build(), path)
        self.network.eval()


METHOD = RCNN
