"""SPP-net: He, Zhang, Ren, Sun, "Spatial pyramid pooling in deep convolutional networks for visual recognition",
ECCV 2014, arXiv 1406.4729v4, section 4.

The convolutions run once over the whole image, at one size or at five. Every proposal is mapped to a window of the
feature map, and a pyramid of max-pooling grids turns the window, of whatever size, into a vector of one length, which
the fc layers take. SVMs and box regressors are R-CNN's. Fine-tuning stops at the fc layers: the convolutions keep their
ImageNet weights.

Letters: P proposals, K classes, C channels, B regions of a mini-batch, S sizes of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from detectors.parts.boxes import clip, decode, flip
from detectors.parts.checkpoint import Checkpoint, fit_key, network_key
from detectors.parts.decide import decide
from detectors.parts.fitted import Fitted
from detectors.parts.head import Head, fc_widths, own_fc
from detectors.parts.mapstore import Convolved, MapStore
from detectors.parts.pooling import MapRule, map_windows, spatial_pyramid_pool
from detectors.parts.posthoc import PostHoc, RidgeSettings, fit_posthoc
from detectors.parts.precision import detecting_copy, lay_out
from detectors.parts.regions import Regions
from detectors.parts.sampling import RegionDraws, Sampling
from detectors.parts.scales import SCALES_CODE, SCALES_PAPER, ImagePyramid, Rule, map_sizes, stack_maps
from detectors.parts.sgd import Sgd, descend, groups
from detectors.parts.streams import Streams
from detectors.parts.svm import SvmSettings

__all__ = ["METHOD", "SPP", "Layer", "SPPConfig"]

_BUFFER_BYTES = 2 * 2**30
"""Pooled features held at a time while fine-tuning. Filling a buffer reads the maps of nearly all images, however many
mini-batches it holds, so that a small one costs time.

Differs from [SPP spp_finetune_voc.m]: such a buffer is filled for 500 mini-batches there, 3.3 GB for 12,800 features,
because memory is bounded; 327 fit here."""
_MAP_BYTES = 8 * 2**30
"""Disk that the feature maps of training images may take while the fc layers learn: 2,000 maps of 512 channels at 688
px take 4.6 GB, images and mirror images of 1,000 photographs."""
_LEVELS = (6, 3, 2, 1)
"""Pyramid: 36 + 9 + 4 + 1 = 50 bins [SPP 4.1]."""
_DROPOUT, _SCALES = 2, 3
"""Tell dropout and the choice of sizes from the draws of regions in the same step of a fit."""

Layer = Literal["pool5", "fc6", "ftfc6", "ftfc7"]
"""The rows of [SPP Table 9]: which features the SVMs see, with ``ft`` after fine-tuning."""


@dataclass(frozen=True, slots=True)
class SPPConfig:
    """The paper's numbers."""

    iterations: int = 300_000
    """Mini-batches of fine-tuning: 250k + 50k [SPP 4.1].

    Differs from [SPP spp_finetune_voc.m]: the last weights are kept; there those with the lowest error on windows of
    the images that are tested afterwards, because that is to learn from the test set."""
    policy: Policy = detect_only(SHARED_POLICY)
    scales_px: tuple[int, ...] = (688,)
    """Shorter sides of the image; a single one of 688 px [SPP 4.1]. In proportion for a backbone trained on smaller
    crops."""
    scale_rule: Rule = "paper"
    """How a region finds its size among several [SPP 4.1, spm_expected_scale.m]."""
    mapping: MapRule = "v4"
    """How a box becomes a window of the feature map. ``v4`` runs the backbone padded for whole images, as that appendix
    asks; ``v2`` and ``code`` padded as in its training, for which they were written."""
    levels: tuple[int, ...] | None = None
    """Sides of the pyramid's grids; None: those that the backbone's own fc6 takes if it was trained with a pyramid,
    else (6, 3, 2, 1) [SPP 4.1]. (4, 2, 1) is the pyramid of the paper's figure 3."""
    layer: Layer = after_network("ftfc7")
    bb: bool = detect_only(True)
    """Whether the boxes are moved: "ftfc7 bb" is the last row of [SPP Table 9]."""
    bf16: bool = detect_only(False)
    """Whether the network detects in bfloat16."""
    fc_width: int | None = None
    """Of fc6 and fc7; None: the backbone's own, or 1,024 where it has none."""
    sampling: Sampling = field(default_factory=lambda: Sampling(background_iou=0.1))
    sgd: Sgd = field(
        default_factory=lambda: Sgd(lr=1e-4, new_layer_factor=1.0, bias_factor=2.0, lr_drops_at=(250 / 300,))
    )
    """Where fc6 and fc7 are pretrained: 1e-4 for all three layers, a tenth for the last 50k of 300k [SPP 4.1]; biases
    twice as fast (the prototxts). The released solver has 1e-3, 1e-4 and 1e-5 for 30k each: the paper's counts here.

    Differs from [SPP pascal_finetune_fc_spm_train_test_new.prototxt]: fc8's biases decay like those of fc6 and fc7,
    where there they alone do not, because one rule for all biases suffices."""
    sgd_random_fc: Sgd = field(default_factory=lambda: Sgd(lr_drops_at=(250 / 300,)))
    """Differs from [SPP 4.1]: where fc6 and fc7 start random, a rate of 0.01, because 1e-4 is meant for layers that
    have learnt already."""
    svm: SvmSettings = after_network(SvmSettings(negative_overlap=0.7))
    """A negative that overlaps another by more than 70 % is removed [SPP 4.1]; the rest as in R-CNN."""
    ridge: RidgeSettings = after_network(RidgeSettings(ridge_lambda=4000.0, min_iou=0.5))
    """lambda 4000 (SPP released code). Differs from [SPP 4.1]: IoU above 0.5, not 'at least', because the released code
    compares so, as R-CNN's does (spp_train_bbox_regressor.m)."""


class _Network(nn.Module):
    """All that is learnt, and the convolutions that are not; or the form of it that detects."""

    def __init__(self, backbone: Backbone, head: Head | None, posthoc: PostHoc) -> None:
        super().__init__()
        self.backbone, self.head, self.posthoc = backbone, head, posthoc

    def features(self, pooled: torch.Tensor, layer: Layer) -> torch.Tensor:
        """What the SVMs see of pooled features (N, C * bins)."""
        if self.head is None:
            return pooled
        return self.head.features(pooled, layer="fc7" if layer == "ftfc7" else "fc6")


class SPP(Fitted[_Network]):
    """The detector."""

    paper: ClassVar[str] = "SPP"
    needs_proposals: ClassVar[bool] = True
    quick_per_image: ClassVar[int] = 2
    Config: ClassVar[type[SPPConfig]] = SPPConfig
    score_kind: ClassVar[str] = "svm"
    """Signed distances from the planes of linear SVMs."""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "5": {"scales_px": SCALES_PAPER},
        "5-code": {"scales_px": SCALES_CODE, "scale_rule": "code"},
        "v2": {"mapping": "v2"},
        "code": {"mapping": "code"},
        **{layer: {"layer": layer, "bb": False} for layer in get_args(Layer)},
    }
    """``pool5`` to ``ftfc7`` are the rows of [SPP Table 9] without box regression."""
    paper_policy: ClassVar[Policy] = Policy(
        min_score=-1.5, per_class_before=None, iou=0.3, per_class_after=100, per_image=None
    )
    """[SPP spp_test.m]: suppression first, then the 100 best of a class. Differs from it: boxes are moved, then
    suppressed once, where there they are suppressed before they are moved and again after it, because one order serves
    all methods."""

    def __init__(self, n_classes: int, config: SPPConfig, backbone: Backbone, device: torch.device) -> None:
        """Store what it is made of.

        Raises:
            SettingsError: the settings, or settings and backbone, do not go together.
        """
        self.n_classes, self.config, self.device = n_classes, config, device
        self.convention = backbone.convention
        self._backbone = backbone
        stack = backbone.geometry.fc
        own_levels = stack.levels if stack is not None and len(stack.levels) > 1 else _LEVELS
        self.levels = own_levels if config.levels is None else config.levels
        self._widths = fc_widths(backbone.geometry, config.fc_width)
        self._check()

    def _check(self) -> None:
        config = self.config
        for name, known in (("layer", Layer), ("mapping", MapRule), ("scale_rule", Rule)):
            if getattr(config, name) not in get_args(known):
                expected = ", ".join(get_args(known))
                raise SettingsError(f"{name} of SPP-net: expected {expected}; got {getattr(config, name)!r}")
        for name, values in (("scales_px", config.scales_px), ("levels", self.levels)):
            if not values or min(values) < 1:
                raise SettingsError(f"{name} of SPP-net: expected numbers from 1 up; got {values}")
        if config.layer == "fc6" and self._own_fc() is None:
            raise SettingsError(
                f"layer fc6 of SPP-net is fc6 as pretrained, and {self._why_no_fc()}; take ftfc6, which is fine-tuned"
            )

    def _own_fc(self) -> Mapping[str, torch.Tensor] | None:
        return own_fc(self._backbone, self.levels, self._widths)

    def _why_no_fc(self) -> str:
        name, stack = self._backbone.name, self._backbone.geometry.fc
        if stack is None:
            return f"{name} has no fc layers"
        if stack.levels != self.levels:
            return f"that of {name} takes the pyramid {stack.levels}, not {self.levels}"
        if stack.widths != self._widths:
            return f"that of {name} has {stack.widths[0]} outputs, not {self._widths[0]}"
        return f"the weights of {name} hold none"

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """Score and move all proposals in one pass, then suppress [SPP figure 5]."""
        if len(proposals) == 0:
            return Detections.none()
        boxes, scores = self.score(image, proposals)
        with stage(Stage.SUPPRESS):
            return decide(boxes, scores, self.config.policy)

    @torch.inference_mode()
    def score(self, image: torch.Tensor, proposals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (P, K, 4) px and scores (P, K): conv once for each size; then pool, fc, SVMs and regressors.

        Proposals that fall on the same cells are each sent through the fc layers: how many would be left depends on the
        boxes, and the host would have to wait for the device to learn it.
        """
        network = self.detecting
        boxes, pooled = self.describe(network, image, proposals, self.config.scales_px)
        with stage(Stage.FC):
            features = network.features(pooled, self.config.layer)
        with stage(Stage.DECODE):
            scores = network.posthoc.scores(features)
            moved = boxes[:, None].expand(-1, self.n_classes, 4)
            if self.config.bb:
                # On pooled features whichever layer the SVMs see (the release regresses from layer 5).
                moved = decode(boxes, network.posthoc.deltas(pooled))
            return clip(moved, *image.shape[1:]), scores

    def describe(
        self, network: _Network, image: torch.Tensor, boxes: torch.Tensor, scales_px: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (P, 4) on the device and their pyramids (P, C * bins), each from the size that suits it best."""
        with stage(Stage.PREPARE):
            # Out of pageable memory: the host goes on once CUDA has taken the data over. It may wait for the stream
            # first, which has nothing to do yet.
            boxes = boxes.to(self.device, non_blocking=True)
        return boxes, self.pool(network, self.convolve(network, image, scales_px), boxes)

    def convolve(self, network: _Network, image: torch.Tensor, scales_px: Sequence[int]) -> Convolved:
        """The feature maps of an image at each size."""
        geometry = network.backbone.geometry
        with stage(Stage.PREPARE):
            pyramid = ImagePyramid.of(
                self.convention.apply(image.to(self.device, non_blocking=True)),
                scales_px,
                smallest_px=geometry.smallest_px,
                relative_size=geometry.relative_size,
            )
            dtype = next(network.backbone.parameters()).dtype
            layout = lay_out(network.backbone, self.device)
            images = [one.to(dtype, memory_format=layout) for one in pyramid.images]
        with stage(Stage.CONV):
            return Convolved(pyramid, tuple(network.backbone(one) for one in images))

    def pool(self, network: _Network, convolved: Convolved, boxes: torch.Tensor) -> torch.Tensor:
        """The pyramids (P, C * bins) of boxes (P, 4) on the device, each from the size that suits it best."""
        geometry = network.backbone.geometry
        with stage(Stage.POOL):
            placed, index = convolved.pyramid.place(boxes, self.config.scale_rule)
            height, width = map_sizes(convolved.maps, index)
            windows = map_windows(
                placed,
                stride=geometry.stride_px,
                offset_px=geometry.cell0_px,
                height=height,
                width=width,
                rule=self.config.mapping,
            )
            return spatial_pyramid_pool(stack_maps(convolved.maps), windows, self.levels, index)

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Fine-tune the fc layers on pooled features, then train SVMs and box regressors [SPP 4.1].

        Raises:
            FitError: the examples hold no object.
        """
        regions = [Regions.of(example, self.n_classes) for example in examples]
        if not any(item.n_truth for item in regions):
            raise FitError("the training images hold no object to learn from")
        key = fit_key(self.config, self.n_classes, self._backbone, regions, generator)
        network = self._build()
        head = network.head
        if self.config.layer == "fc6" and head is not None:
            self.start(head, torch.zeros(0, head.fc6.in_features), generator)
        elif head is not None:
            of_network = network_key(self.config, self.n_classes, self._backbone, regions, generator)
            with stage(Stage.FINETUNE), torch.no_grad(), MapStore(workdir, _MAP_BYTES) as maps:
                finetuning = _Finetuning(self, network, head, examples, regions, generator, maps)
                finetuning.run(Checkpoint(workdir / "fc.checkpoint", head, of_network))

        @torch.inference_mode()
        def extract(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            _, pooled = self.describe(network, examples[index].image, boxes, self.config.scales_px)
            return pooled, network.features(pooled, self.config.layer)

        fit_posthoc(
            network.posthoc,
            regions,
            extract,
            svm=self.config.svm,
            ridge=self.config.ridge,
            generator=generator,
            workdir=workdir,
            key=key,
        )
        self._take(network)

    def initialise(self, *, generator: torch.Generator) -> None:
        """Draw at random all that a fit learns; pretrained layers stay."""
        network = self._build()
        side_px = 2 * self._backbone.geometry.crop_px
        noise = torch.randint(256, (3, side_px, side_px), generator=generator, dtype=torch.uint8)
        if network.head is not None:
            whole = torch.tensor([[0.0, 0.0, side_px, side_px]])
            with torch.no_grad():
                _, typical = self.describe(network, noise, whole, self.config.scales_px[:1])
            self.start(network.head, typical, generator)
        network.posthoc.initialise(generator)
        self._take(network)

    def start(self, head: Head, typical: torch.Tensor, generator: torch.Generator) -> None:
        """Fill the fc layers: fc6 and fc7 from the backbone where they fit, the rest drawn."""
        deviations = {"classes": 0.01} if "classes" in head.outputs else {}  # fc8: Gaussian, deviation 0.01 [SPP 4.1]
        head.start(typical, deviations, generator, self._own_fc())

    def _build(self) -> _Network:
        # [SPP App. A]: the last version asks for padding by half of every kernel, and maps boxes accordingly.
        backbone = self._backbone.for_images() if self.config.mapping == "v4" else self._backbone.copy()
        backbone.requires_grad_(False)
        pooled = backbone.geometry.channels * sum(level**2 for level in self.levels)
        layer, head, width = self.config.layer, None, pooled
        if layer != "pool5":
            head = Head(pooled, self._widths, {} if layer == "fc6" else {"classes": self.n_classes + 1})
            width = self._widths[1] if layer == "ftfc7" else self._widths[0]
        network = _Network(backbone, head, PostHoc(self.n_classes, width, pooled)).to(self.device)
        lay_out(network.backbone, self.device)
        return network

    def _deployed(self, network: _Network) -> _Network:
        """What detects, derived from what was learnt."""
        head, bf16 = network.head, self.config.bf16
        return _Network(
            detecting_copy(network.backbone, bf16),
            None if head is None else detecting_copy(head, bf16),
            network.posthoc,
        )


class _Finetuning:
    """One fit of the fc layers, on pooled features that are held one buffer at a time."""

    def __init__(
        self,
        detector: SPP,
        network: _Network,
        head: Head,
        examples: Sequence[Example],
        regions: Sequence[Regions],
        generator: torch.Generator,
        maps: MapStore,
    ) -> None:
        self._detector, self._network, self._head, self._maps = detector, network, head, maps
        self._examples, self._regions = examples, regions
        self._generator, self._streams = generator, Streams(generator)
        self._draws = RegionDraws(regions, detector.config.sampling, self._streams)
        batch_bytes = 4 * detector.config.sampling.regions * head.fc6.in_features
        self._per_buffer = max(1, _BUFFER_BYTES // batch_bytes)
        self._held = -1
        """Which buffer is held; number n has the mini-batches from n times the size of a buffer on."""
        self._pooled: tuple[torch.Tensor, ...] = ()
        self._labels: list[torch.Tensor] = []

    def run(self, checkpoint: Checkpoint) -> None:
        """Train on from where the checkpoint stands, or from the start."""
        config, head = self._detector.config, self._head
        self._detector.start(head, self._pool(range(1)), self._generator)
        sgd = config.sgd if head.pretrained else config.sgd_random_fc
        of_each = groups(sgd, new=head.new, pretrained=head.pretrained)
        descend(of_each, sgd, config.iterations, self._loss, checkpoint)
        self._pooled = ()

    def _loss(self, iteration: int) -> torch.Tensor:
        number, place = divmod(iteration, self._per_buffer)
        if number != self._held:
            self._fill(number)
        dropped_by = self._streams.on(self._detector.device, iteration, _DROPOUT)
        with torch.enable_grad():
            scores = self._head(self._pooled[place], dropped_by)["classes"]
            return functional.cross_entropy(scores, self._labels[place].to(self._detector.device))

    def _fill(self, number: int) -> None:
        self._pooled = ()  # before the next is made, or both are held at a time
        first = number * self._per_buffer
        steps = range(first, min(first + self._per_buffer, self._detector.config.iterations))
        self._labels = [self._draws[step].label for step in steps]
        self._pooled = self._pool(steps).split(self._detector.config.sampling.regions)
        self._held = number

    def _pool(self, steps: range) -> torch.Tensor:
        """Pyramids of all regions of some mini-batches, one row after another, from maps kept of each image.

        The image is taken at one size drawn at random for all of these mini-batches (`random_scale` of
        spp_finetune_voc.m); detection takes the best one. Differs from [SPP spp_features_convX_to_poolX.m]: a size is
        drawn for each region there, from cached maps of all sizes; here for each image and its mirror image, because
        one pass of convolutions is then enough.
        """
        draws = [self._draws[step] for step in steps]
        image = torch.cat([draw.image for draw in draws])
        region = torch.cat([draw.region for draw in draws])
        flipped = torch.cat([draw.flipped for draw in draws])
        detector, scales_px = self._detector, self._detector.config.scales_px
        of_image = torch.randint(
            len(scales_px), (len(self._examples), 2), generator=self._streams.cpu(steps.start, _SCALES)
        ).tolist()
        rows = torch.empty(len(image), self._head.fc6.in_features, device=detector.device)
        for index in image.unique().tolist():
            for mirrored in (False, True):
                mine = ((image == index) & (flipped == mirrored)).nonzero().squeeze(1)
                if len(mine) == 0:
                    continue
                picked, where = region[mine].unique(return_inverse=True)
                pixels, boxes = self._examples[index].image, self._regions[index].boxes[picked]
                if mirrored:
                    pixels, boxes = pixels.flip(2), flip(boxes, pixels.shape[2])
                scale = of_image[index][mirrored]
                make = partial(detector.convolve, self._network, pixels, scales_px[scale : scale + 1])
                convolved = self._maps.get((index, mirrored, scale), make)
                pooled = detector.pool(self._network, convolved, boxes.to(detector.device))
                rows[mine.to(detector.device)] = pooled[where.to(detector.device)]
        return rows


METHOD = SPP
