"""R-CNN: Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and semantic
segmentation", CVPR 2014, arXiv 1311.2524v5.

Every proposal is cut out of the image with some context, warped to the network's input size and sent through the whole
network by itself. Linear SVMs score the fc7 features, one per class, and a ridge regressor on the pooled features moves
the box. The network is fine-tuned first, all layers, to tell the classes and background apart on warped proposals.

Letters: P proposals, K classes, C channels of the last feature map, N crops of a chunk, B of a mini-batch, S side of a
crop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from detectors.contract import (
    SHARED_POLICY,
    Detections,
    Example,
    FitError,
    Policy,
    SettingsError,
    Stage,
    after_network,
    detect_only,
    stage,
)
from detectors.parts.backbones import Backbone
from detectors.parts.boxes import clip, decode
from detectors.parts.checkpoint import Checkpoint, fit_key, network_key
from detectors.parts.chunks import Chunks, choose
from detectors.parts.crops import cut_out, sample, sources
from detectors.parts.decide import decide
from detectors.parts.fitted import Fitted
from detectors.parts.head import Head, fc_widths, own_fc
from detectors.parts.posthoc import PostHoc, RidgeSettings, fit_posthoc
from detectors.parts.precision import detecting_copy, lay_out
from detectors.parts.regions import Regions
from detectors.parts.sampling import Draw, RegionDraws, Sampling
from detectors.parts.sgd import Sgd, descend, groups
from detectors.parts.streams import Streams
from detectors.parts.svm import SvmSettings

__all__ = ["METHOD", "RCNN", "Layer", "RCNNConfig", "Scoring"]

_CROP_PX = 227
"""The published input, for which the context is given [RCNN 2.1, App. A]."""
_DROPOUT = 2
"""Tells dropout from the draws of regions in the same step of a fit."""

Scoring = Literal["svm", "softmax"]
Layer = Literal["pool5", "fc7"]
"""Of the rows of [RCNN Table 2] the first and the last: the convolutions as pretrained, with no fc layers above them;
or the network after fine-tuning."""


@dataclass(frozen=True, slots=True)
class RCNNConfig:
    """The paper's numbers."""

    iterations: int = 70_000
    """Mini-batches of fine-tuning; the released model is of iteration 70k [RCNN data/README.md]."""
    policy: Policy = detect_only(SHARED_POLICY)
    scoring: Scoring = detect_only("svm")
    """``softmax``: the fine-tuned fc8 scores, which costs 3.3 points of mAP [RCNN App. B]. Both are fitted."""
    layer: Layer = after_network("fc7")
    """Which features the SVMs see. With ``pool5`` nothing is fine-tuned, and nothing but SVMs can score."""
    bb: bool = detect_only(True)
    """Whether the boxes are moved: "FT fc7 BB" is the last row of [RCNN Table 2]."""
    bf16: bool = detect_only(False)
    """Whether the network detects in bfloat16."""
    chunk: int | None = detect_only(None)
    """Crops of one forward pass; None: 256 (rcnn_create_model.m), or fewer as `detectors.parts.chunks` chooses. Another
    chunk can round otherwise, and changes nothing else."""
    context_px: int = 16
    """Image context around a box in the warped crop, for a 227-px crop [RCNN App. A]; in proportion for others."""
    levels: tuple[int, ...] | None = None
    """Sides of the grids that a crop's feature map is pooled to; None: those that the backbone's own fc6 takes, one of
    6 x 6 in AlexNet [RCNN 2.1], a pyramid in ZF-5 [SPP Table 10]."""
    fc_width: int | None = None
    """Of fc6 and fc7; None: the backbone's own, or 1,024 where it has none."""
    sampling: Sampling = field(default_factory=Sampling)
    """32 foreground and 96 background crops of 128, all below an IoU of 0.5 being background [RCNN 2.3]."""
    sgd: Sgd = field(
        default_factory=lambda: Sgd(bias_factor=2.0, decay_biases=False, lr_drops_at=(20 / 70, 40 / 70, 60 / 70))
    )
    """Where fc6 and fc7 are pretrained: 0.001, ten times that for fc8, a tenth after every 20k of 70k mini-batches;
    biases twice as fast and without decay (the prototxts) [RCNN 2.3]."""
    sgd_random_fc: Sgd = field(default_factory=Sgd)
    """Differs from [RCNN 2.3]: where fc6 and fc7 start random they learn as fast as fc8 does, and the rate drops once,
    after three quarters, because layers that have learnt nothing yet have far to go."""
    svm: SvmSettings = after_network(SvmSettings())
    ridge: RidgeSettings = after_network(RidgeSettings())


class _Network(nn.Module):
    """All that is learnt; or the form of it that detects."""

    shown: torch.Tensor

    def __init__(self, backbone: Backbone, head: Head | None, posthoc: PostHoc, n_classes: int) -> None:
        super().__init__()
        self.backbone, self.head, self.posthoc = backbone, head, posthoc
        # Softmax gives every class a score; one that had no object in training must not be detected by it.
        self.register_buffer("shown", torch.zeros(n_classes, dtype=torch.bool))


class RCNN(Fitted[_Network]):
    """The detector."""

    paper: ClassVar[str] = "RCNN"
    needs_proposals: ClassVar[bool] = True
    quick_per_image: ClassVar[int] = 1
    Config: ClassVar[type[RCNNConfig]] = RCNNConfig
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "softmax": {"scoring": "softmax"},
        "no-bb": {"bb": False},
        "pool5": {"layer": "pool5", "bb": False},
        "pyramid": {"levels": (6, 3, 2, 1)},
        "batch24": {"sampling": Sampling(regions=24)},
    }
    """``pyramid`` is SPP-net's [SPP 4.1]; ``batch24`` the mini-batch of VGG16, "to fit within GPU memory" [RCNN 3.3].
    Differs from it: VGG16 has 128 like all others unless asked, because memory has grown since."""
    paper_policy: ClassVar[Policy] = Policy(per_class_before=100, iou=0.3, per_image=None)
    """[RCNN rcnn_test.m]. Differs from it: no threshold over the whole test set that leaves 40 detections an image on
    average, because detections of one image must not depend on other images."""

    def __init__(self, n_classes: int, config: RCNNConfig, backbone: Backbone, device: torch.device) -> None:
        """Store what it is made of.

        Raises:
            SettingsError: the settings, or settings and backbone, do not go together.
        """
        self.n_classes, self.config, self.device = n_classes, config, device
        self.geometry, self.convention = backbone.geometry, backbone.convention
        self._backbone = backbone
        stack = backbone.geometry.fc
        own_levels = (self.geometry.pooled,) if stack is None else stack.levels
        self.levels = own_levels if config.levels is None else config.levels
        self.context_px = round(config.context_px * self.geometry.crop_px / _CROP_PX)
        self._widths = fc_widths(self.geometry, config.fc_width)
        self._pooled = self.geometry.channels * sum(level**2 for level in self.levels)
        self._check()

    def _check(self) -> None:
        config, crop_px = self.config, self.geometry.crop_px
        if config.scoring not in get_args(Scoring):
            raise SettingsError(f"scoring of R-CNN: expected {', '.join(get_args(Scoring))}; got {config.scoring!r}")
        if config.layer not in get_args(Layer):
            raise SettingsError(f"layer of R-CNN: expected {', '.join(get_args(Layer))}; got {config.layer!r}")
        if config.layer == "pool5" and config.scoring == "softmax":
            raise SettingsError("scoring of R-CNN: softmax is an output of the fc layers, which layer pool5 has not")
        if not self.levels or min(self.levels) < 1:
            raise SettingsError(f"levels of R-CNN: expected numbers from 1 up; got {self.levels}")
        if config.chunk is not None and config.chunk < 1:
            raise SettingsError(f"chunk of R-CNN: expected 1 crop or more; got {config.chunk}")
        if not 0 <= 2 * self.context_px < crop_px:
            raise SettingsError(
                f"context_px of R-CNN: expected 0 or more and less than half of {_CROP_PX}; got {config.context_px}"
            )

    @property
    def score_kind(self) -> str:
        """``softmax``: probabilities; ``svm``: signed distances."""
        return self.config.scoring

    @property
    def chunk(self) -> int:
        """Crops of one forward pass; smaller once memory has run out."""
        return self._chunks.size

    @cached_property
    def _chunks(self) -> Chunks:
        return Chunks(self.config.chunk or choose(self._backbone, self.device))

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """Score and move every proposal by itself, then suppress [RCNN 2.2, figure 1]."""
        if len(proposals) == 0:
            return Detections.none()
        boxes, scores = self.score(image, proposals)
        with stage(Stage.SUPPRESS):
            return decide(boxes, scores, self.config.policy)

    @torch.inference_mode()
    def score(self, image: torch.Tensor, proposals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (P, K, 4) px and scores (P, K): warp, conv, pool for every proposal; then fc, SVMs, regressors."""
        network = self.detecting
        boxes, pooled, features = self.describe(network, image, proposals)
        with stage(Stage.DECODE):
            if self.config.scoring == "svm" or network.head is None:
                scores = network.posthoc.scores(features)
            else:
                scores = network.head.outputs["classes"](features).float().softmax(dim=1)[:, 1:]
                scores = scores.masked_fill(~network.shown, float("-inf"))
            moved = boxes[:, None].expand(-1, self.n_classes, 4)
            if self.config.bb:
                moved = decode(boxes, network.posthoc.deltas(pooled))
            return clip(moved, *image.shape[1:]), scores

    def describe(
        self, network: _Network, image: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Boxes (P, 4) on the device, pooled features (P, C * bins), and what the SVMs see: those, or fc7 (P, width).

        The fc layers take all boxes at once, since they would read all their weights anew for every chunk. Memory: the
        pooled features, 74 MB for 2,000 boxes of 9,216 values, and what one chunk takes.
        """
        dtype = next(network.backbone.parameters()).dtype
        with stage(Stage.PREPARE):
            # Out of pageable memory: the host goes on once CUDA has taken the data over. It may wait for the stream
            # first, which has nothing to do yet.
            boxes = boxes.to(self.device, non_blocking=True)
            pixels = self.convention.apply(image.to(self.device, non_blocking=True))
            places = self.sources(boxes, *image.shape[1:])
            pooled = torch.empty(len(boxes), self._pooled, dtype=dtype, device=self.device)
            layout = lay_out(network.backbone, self.device)

        def work(part: slice) -> None:
            with stage(Stage.PREPARE):
                crops = sample(pixels, places[part]).to(dtype, memory_format=layout)
            with stage(Stage.CONV):
                maps = network.backbone(crops)
            with stage(Stage.POOL):
                pooled[part] = self.pool(maps)

        self._chunks.run(len(boxes), work)
        with stage(Stage.FC):
            return boxes, pooled, pooled if network.head is None else network.head.features(pooled)

    def sources(self, boxes: torch.Tensor, height: torch.Tensor | int, width: torch.Tensor | int) -> torch.Tensor:
        """Where the crops of boxes (N, 4) look in their images: (N, 2, S)."""
        return sources(boxes, height, width, size_px=self.geometry.crop_px, context_px=self.context_px)

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """Pool the feature maps of crops (N, C, h, w) to (N, C * bins).

        The backbones end before pool5. Bins of equal parts are what Caffe's pool5 takes of the published networks: of
        13 x 13 cells in windows of 3 at steps of 2, of 14 x 14 in windows of 2.
        """
        grids = [functional.adaptive_max_pool2d(maps, level).flatten(1) for level in self.levels]
        return torch.cat(grids, dim=1) if len(grids) > 1 else grids[0]

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Fine-tune the whole network, then train SVMs and box regressors on its features [RCNN 2.3, App. B, C].

        Raises:
            FitError: the examples hold no object.
        """
        regions = [Regions.of(example, self.n_classes) for example in examples]
        key = fit_key(self.config, self.n_classes, self._backbone, regions, generator)
        network = self._build()
        if not any(item.n_truth for item in regions):
            raise FitError("the training images hold no object to learn from")
        if network.head is not None:
            of_network = network_key(self.config, self.n_classes, self._backbone, regions, generator)
            learnt = nn.ModuleList([network.backbone, network.head])  # and no SVMs, which come later
            with stage(Stage.FINETUNE):
                finetuning = _Finetuning(self, network, network.head, examples, regions, generator)
                finetuning.run(Checkpoint(workdir / "network.checkpoint", learnt, of_network))

        @torch.inference_mode()
        def extract(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.describe(network, examples[index].image, boxes)[1:]

        svm, ridge = self.config.svm, self.config.ridge
        fit_posthoc(
            network.posthoc, regions, extract, svm=svm, ridge=ridge, generator=generator, workdir=workdir, key=key
        )
        self._take(network)

    def initialise(self, *, generator: torch.Generator) -> None:
        """Draw at random all that a fit learns, pretrained layers aside, and let every class be detected."""
        network = self._build()
        if network.head is not None:
            side_px = self.geometry.crop_px
            noise = torch.randint(256, (3, side_px, side_px), generator=generator, dtype=torch.uint8)
            crops = self.convention.apply(noise.to(self.device))[None]
            layout = lay_out(network.backbone, self.device)
            self.start(network.backbone, network.head, crops.contiguous(memory_format=layout), generator)
        network.shown.fill_(True)
        network.posthoc.initialise(generator)
        self._take(network)

    def start(self, backbone: Backbone, head: Head, crops: torch.Tensor, generator: torch.Generator) -> None:
        """Fill the fc layers: fc6 and fc7 from the backbone where they fit, the rest drawn."""
        with torch.no_grad():
            typical = self.pool(backbone(crops))
        own = own_fc(self._backbone, self.levels, self._widths)
        head.start(typical, {"classes": 0.01}, generator, own)  # fc8: Gaussian, deviation 0.01 [SPP 4.1]

    def _build(self) -> _Network:
        pooled, head, width = self._pooled, None, self._pooled
        if self.config.layer != "pool5":
            head, width = Head(pooled, self._widths, {"classes": self.n_classes + 1}), self._widths[1]
        posthoc = PostHoc(self.n_classes, width, pooled)
        network = _Network(self._backbone.copy(), head, posthoc, self.n_classes).to(self.device)
        lay_out(network.backbone, self.device)
        self._chunks  # noqa: B018 - chosen here and not in the first image, whose time may be taken
        return network

    def _deployed(self, network: _Network) -> _Network:
        """What detects, derived from what was learnt."""
        bf16 = self.config.bf16
        head = None if network.head is None else detecting_copy(network.head, bf16)
        detecting = _Network(detecting_copy(network.backbone, bf16), head, network.posthoc, self.n_classes)
        detecting.shown = network.shown
        return detecting


class _Finetuning:
    """One fit of the network to mini-batches of warped proposals."""

    def __init__(
        self,
        detector: RCNN,
        network: _Network,
        head: Head,
        examples: Sequence[Example],
        regions: Sequence[Regions],
        generator: torch.Generator,
    ) -> None:
        self._detector, self._backbone, self._head = detector, network.backbone, head
        self._examples, self._regions = examples, regions
        self._streams = Streams(generator)
        self._draws = RegionDraws(regions, detector.config.sampling, self._streams)
        network.shown[torch.cat([item.labels for item in regions]).to(detector.device) - 1] = True
        detector.start(network.backbone, head, self._batch(self._draws[0])[0], generator)

    def run(self, checkpoint: Checkpoint) -> None:
        """Train on from where the checkpoint stands, or from the start."""
        config, head = self._detector.config, self._head
        sgd = config.sgd if head.pretrained else config.sgd_random_fc
        of_each = groups(sgd, new=head.new, pretrained=[*head.pretrained, *self._backbone.parameters()])
        descend(of_each, sgd, config.iterations, self._loss, checkpoint)

    def _loss(self, iteration: int) -> torch.Tensor:
        crops, labels = self._batch(self._draws[iteration])
        pooled = self._detector.pool(self._backbone(crops))
        dropped_by = self._streams.on(self._detector.device, iteration, _DROPOUT)
        return functional.cross_entropy(self._head(pooled, dropped_by)["classes"], labels)

    def _batch(self, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops (B, 3, S, S) and labels (B,) of a mini-batch, those of one image after another."""
        detector, device = self._detector, self._detector.device
        images = {index: self._examples[index].image for index in draw.image.unique().tolist()}
        picked = list(zip(draw.image.tolist(), draw.region.tolist(), strict=True))
        boxes = torch.stack([self._regions[index].boxes[region] for index, region in picked])
        height, width = torch.tensor([images[index].shape[1:] for index, _ in picked]).unbind(1)
        places = detector.sources(boxes, height, width)
        # A crop is mirrored by looking at its columns from the right.
        places[:, 0] = torch.where(draw.flipped[:, None], places[:, 0].flip(1), places[:, 0])
        crops, order = [], []
        for index, image in images.items():
            mine = (draw.image == index).nonzero().squeeze(1)
            part, moved = cut_out(image, places[mine])
            crops.append(sample(detector.convention.apply(part.to(device)), moved.to(device)))
            order.append(mine)
        together = torch.cat(crops).contiguous(memory_format=lay_out(self._backbone, device))
        return together, draw.label[torch.cat(order)].to(device)


METHOD = RCNN
