"""SPP-net: He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition",
ECCV 2014, arXiv 1406.4729v4, section 4.

The convolutions run once over the whole image. Every proposal is mapped to a window of the feature map, and a pyramid
of max-pooling grids turns the window, of whatever size, into a vector of one length, which the fc layers take. SVMs and
box regressors are R-CNN's. Fine-tuning stops at the fc layers: the convolutions keep their ImageNet weights.

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

from detectors.contract import SHARED_POLICY, Detections, Example, Policy, Stage, stage
from detectors.parts.backbones import Backbone
from detectors.parts.boxes import clip, decode, flip
from detectors.parts.decide import decide
from detectors.parts.head import Head, generator_on
from detectors.parts.modelfile import read_model, write_model
from detectors.parts.pooling import map_windows, spatial_pyramid_pool
from detectors.parts.posthoc import PostHoc, RidgeSettings, fit_posthoc
from detectors.parts.regions import Regions
from detectors.parts.resize import resize
from detectors.parts.sampling import Draw, Sampling, draw_regions
from detectors.parts.sgd import Sgd, descend
from detectors.parts.svm import SvmSettings

__all__ = ["METHOD", "SPP", "SPPConfig"]

_BUFFER_BYTES = 512 * 2**20
"""Pooled features held at a time while fine-tuning. The released code fills such a buffer for 500 mini-batches."""


@dataclass(frozen=True, slots=True)
class SPPConfig:
    """The paper's numbers."""

    iterations: int = 300_000
    """Mini-batches of fine-tuning: 250k + 50k [SPP 4.1]."""
    policy: Policy = SHARED_POLICY
    short_side_px: int = 688
    """Single scale [SPP 4.1]; in proportion for a backbone trained on smaller crops."""
    levels: tuple[int, ...] = (6, 3, 2, 1)
    """Pyramid: 36 + 9 + 4 + 1 = 50 bins [SPP 4.1]. (4, 2, 1) is the pyramid of the paper's figure 3."""
    fc_width: int = 1024
    """Differs from [SPP 4.1]: 4,096, because fc layers that start random need less width than data."""
    sampling: Sampling = field(default_factory=lambda: Sampling(background_iou=0.1))
    sgd: Sgd = field(default_factory=lambda: Sgd(lr_drop_at=250 / 300))
    """Differs from [SPP 4.1]: a rate of 1e-4 for all three fc layers, because here they start random."""
    svm: SvmSettings = field(default_factory=SvmSettings)
    ridge: RidgeSettings = field(default_factory=lambda: RidgeSettings(ridge_lambda=4000.0, min_iou=0.5))
    """lambda 4000 (SPP released code). Differs from [SPP 4.1]: IoU above 0.5, not 'at least', as R-CNN's rule is."""


class _Network(nn.Module):
    """All that is learnt, and the convolutions that are not."""

    def __init__(self, backbone: Backbone, n_classes: int, config: SPPConfig) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone).requires_grad_(False)
        self.pooled = backbone.geometry.channels * sum(level**2 for level in config.levels)
        self.head = Head(self.pooled, config.fc_width, {"classes": n_classes + 1})
        self.posthoc = PostHoc(n_classes, config.fc_width, self.pooled)


class SPP:
    """The detector."""

    paper: ClassVar[str] = "SPP"
    needs_proposals: ClassVar[bool] = True
    quick_per_image: ClassVar[int] = 2
    Config: ClassVar[type[SPPConfig]] = SPPConfig
    variants: ClassVar[Mapping[str, SPPConfig]] = {}
    paper_policy: ClassVar[Policy] = Policy(
        min_score=-1.5, per_class_before=None, iou=0.3, per_class_after=100, per_image=None
    )
    """[SPP spp_test.m]: suppression first, then the 100 best of a class."""

    def __init__(self, n_classes: int, config: SPPConfig, backbone: Backbone, device: torch.device) -> None:
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
        """Conv once; then pool, fc, score, regress for all proposals; suppress [SPP figure 5]."""
        if len(proposals) == 0:
            return Detections.none()
        boxes, maps, factors = self._map(image, proposals)
        pooled = self._pool(maps, boxes * factors)
        with stage(Stage.FC):
            features = self.network.head.features(pooled)
        with stage(Stage.DECODE):
            scores = self.network.posthoc.scores(features)
            moved = clip(decode(boxes, self.network.posthoc.deltas(pooled)), image.shape[1], image.shape[2])
        with stage(Stage.SUPPRESS):
            return decide(moved, scores, self.config.policy)

    def _map(self, image: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Boxes (P, 4) on the device, the feature map (1, C, h, w) of an image, and the factors of its resizing."""
        with stage(Stage.PREPARE):
            boxes = boxes.to(self.device)
            pixels = self.convention.apply(image.to(self.device))
            short_side_px = round(self.config.short_side_px * self.geometry.relative_size)
            resized, factors = resize(pixels, short_side_px=short_side_px)
            resized = resized.contiguous(memory_format=torch.channels_last)
        with stage(Stage.CONV):
            return boxes, self.network.backbone(resized), factors

    def _pool(self, maps: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Pyramid features (P, C * bins) of boxes (P, 4) in the resized image."""
        with stage(Stage.POOL):
            height, width = maps.shape[2:]
            windows = map_windows(
                boxes, stride=self.geometry.stride_px, offset_px=self.geometry.cell0_px, height=height, width=width
            )
            return spatial_pyramid_pool(maps, windows, self.config.levels)

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Fine-tune the fc layers on pooled features, then train SVMs and box regressors [SPP 4.1].

        Raises:
            FitError: the examples hold no object.
        """
        regions = [Regions.of(example, self.n_classes) for example in examples]
        network = self._build()
        with stage(Stage.FINETUNE), torch.no_grad():
            self._finetune(network, examples, regions, generator)

        @torch.inference_mode()
        def extract(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            boxes, maps, factors = self._map(examples[index].image, boxes)
            pooled = self._pool(maps, boxes * factors)
            return pooled, network.head.features(pooled)

        fit_posthoc(
            network.posthoc, regions, extract, svm=self.config.svm, ridge=self.config.ridge, generator=generator
        )

    def _build(self) -> _Network:
        network = _Network(self._backbone, self.n_classes, self.config).to(self.device)
        network.backbone.to(memory_format=torch.channels_last)
        self._network = network
        return network

    def _finetune(
        self, network: _Network, examples: Sequence[Example], regions: Sequence[Regions], generator: torch.Generator
    ) -> None:
        iterations, batch = self.config.iterations, self.config.sampling.regions
        draws = draw_regions(regions, self.config.sampling, iterations, generator)
        per_buffer = max(1, _BUFFER_BYTES // (4 * batch * network.pooled))
        buffer: list[torch.Tensor] = []

        def fill(start: int) -> None:
            buffer.clear()  # before the next is made, or both are held at a time
            buffer[:] = self._pooled_of(draws[start : start + per_buffer], examples, regions).split(batch)

        fill(0)
        network.head.start(buffer[0], {"classes": 0.01}, generator)  # fc8: Gaussian, deviation 0.01 [SPP 4.1]
        dropped_by = generator_on(self.device, generator)

        def loss_of(iteration: int) -> torch.Tensor:
            if iteration % per_buffer == 0 and iteration > 0:
                fill(iteration)
            with torch.enable_grad():
                scores = network.head(buffer[iteration % per_buffer], dropped_by)["classes"]
                return functional.cross_entropy(scores, draws[iteration].label.to(self.device))

        sgd = self.config.sgd
        descend(network.head.parameter_groups([], sgd.lr, sgd.new_layer_factor), sgd, iterations, loss_of)

    def _pooled_of(
        self, draws: Sequence[Draw], examples: Sequence[Example], regions: Sequence[Regions]
    ) -> torch.Tensor:
        """Pooled features of all regions of some mini-batches, one row after another, one conv pass an image."""
        image = torch.cat([draw.image for draw in draws])
        region = torch.cat([draw.region for draw in draws])
        flipped = torch.cat([draw.flipped for draw in draws])
        rows = torch.empty(len(image), self.network.pooled, device=self.device)
        for index in image.unique().tolist():
            for mirrored in (False, True):
                mine = ((image == index) & (flipped == mirrored)).nonzero().squeeze(1)
                if len(mine) == 0:
                    continue
                picked, where = region[mine].unique(return_inverse=True)
                pixels, boxes = examples[index].image, regions[index].boxes[picked]
                if mirrored:
                    pixels, boxes = pixels.flip(2), flip(boxes, pixels.shape[2])
                boxes, maps, factors = self._map(pixels, boxes)
                rows[mine.to(self.device)] = self._pool(maps, boxes * factors)[where.to(self.device)]
        return rows

    def save(self, path: Path) -> None:
        """Write all that was learnt to one safetensors file."""
        write_model(self.network, path)

    def restore(self, path: Path) -> None:
        """Read what `save` wrote."""
        read_model(self._build(), path)


METHOD = SPP
