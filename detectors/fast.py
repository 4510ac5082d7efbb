"""Fast R-CNN: Girshick, "Fast R-CNN", ICCV 2015, arXiv 1504.08083v2.

As in SPP-net the convolutions run once over the image, but each proposal is pooled to a single grid (RoI pooling), and
softmax scores and box offsets are two outputs of one network, trained together with the convolutions under one loss. No
SVMs, no features on disk. When it has learnt, a truncated SVD of fc6 and fc7 can make it faster.

Letters: P proposals, K classes, C channels, B regions of a mini-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

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
from detectors.parts.boxes import clip, decode, encode, flip
from detectors.parts.checkpoint import Checkpoint, fit_key, network_key
from detectors.parts.decide import decide
from detectors.parts.fitted import Fitted
from detectors.parts.head import Head, fc_widths, own_fc
from detectors.parts.pooling import roi_pool
from detectors.parts.posthoc import PostHoc, fit_posthoc
from detectors.parts.precision import detecting_copy, lay_out
from detectors.parts.regions import Regions
from detectors.parts.sampling import ImageOrder, Sampling, draw_images
from detectors.parts.scales import SCALES_PAPER, ImagePyramid, stack_maps
from detectors.parts.sgd import Sgd, descend, groups
from detectors.parts.streams import Streams
from detectors.parts.svd import PUBLISHED_RANKS, compress, ranks_for
from detectors.parts.svm import SvmSettings
from detectors.parts.targets import Normaliser, box_loss

__all__ = ["METHOD", "FastRCNN", "FastRCNNConfig"]

_DROPOUT, _SCALES = 2, 3
"""Tell dropout and the choice of scales from the draws of regions in the same step of a fit."""


@dataclass(frozen=True, slots=True)
class FastRCNNConfig:
    """The paper's numbers."""

    iterations: int = 40_000
    """Mini-batches: 30k, then 10k at a tenth of the rate [FRCN 2.3]. A stage-wise fit takes as many for the boxes."""
    policy: Policy = detect_only(SHARED_POLICY)
    scales_px: tuple[int, ...] = (600,)
    """Shorter sides of the image: a region is pooled where it comes nearest to 224 x 224 px [FRCN 2.4, 5.2]. All sizes
    are in proportion for a backbone trained on smaller crops."""
    long_side_cap_px: int = 1000
    """[FRCN 5.2]; 2000 with five scales (the release)."""
    images: int = 2
    """Images of a mini-batch [FRCN 2.3]."""
    training: Literal["joint", "stage-wise", "classes"] = "joint"
    """Under one loss; first the classes and then, on the frozen network, the boxes; or the classes alone: the rows of
    [FRCN Table 6]."""
    tuned_from: str | None = "auto"
    """First convolutional layer that is trained [FRCN 4.5, Table 5]: a name of the backbone's, ``fc6`` for none, None
    for all, ``auto`` for what the paper takes for this backbone."""
    scoring: Literal["softmax", "svm"] = after_network("softmax")
    """``svm``: SVMs on fc7, trained after the network as in R-CNN, score instead [FRCN 5.4, Table 8]."""
    bb: bool = detect_only(True)
    """Whether the boxes are moved [FRCN Table 6]."""
    svd_ranks: tuple[int, int] | None = detect_only(None)
    """Singular values that fc6 and fc7 keep [FRCN 3.1, 4.4]; None leaves them whole."""
    bf16: bool = detect_only(False)
    """Whether the network detects in bfloat16."""
    fc_width: int | None = None
    """Of fc6 and fc7; None: the backbone's own, or 1,024 where it has none."""
    cell_centres: bool = True
    """Differs from [FRCN 2.1]: the release takes cell 0 to look at pixel 0, which is so in CaffeNet as it pads it, but
    half a cell wrong in VGG16 and a whole one in VGG_CNN_M; here the backbone's own centre is taken off first, because
    displaced windows cost accuracy where little is learnt. False: as released."""
    bbox_weight: float = 1.0
    """lambda of the multi-task loss [FRCN 2.3]."""
    sampling: Sampling = field(default_factory=lambda: Sampling(background_iou=0.1))
    sgd: Sgd = field(default_factory=lambda: Sgd(new_layer_factor=1.0, bias_factor=2.0, decay_biases=False))
    """Where fc6 and fc7 are pretrained: 0.001 for all layers, biases twice as fast and without decay (the prototxts;
    the paper has decay on both) [FRCN 2.3]."""
    sgd_random_fc: Sgd = field(default_factory=lambda: Sgd(lr=3e-4))
    """Differs from [FRCN 2.3]: where fc6 and fc7 start random, a rate of 0.0003 for the convolutions and ten times as
    much above, because random layers and regions of only two images give gradients that destroy pretrained
    convolutions at 0.001: on drawn shapes the loss then stops falling. Biases have no worth to keep yet and are
    treated like weights."""
    svm: SvmSettings = after_network(SvmSettings(evict_threshold=-1.1))
    """R-CNN's but for the eviction; without mirrored images (tools/train_svms.py of the release).

    Differs from [FRCN 5.4]: the size of the features is that of 200 boxes of each of 200 images, as in R-CNN, where the
    release takes all boxes of 100, because one rule serves all methods."""


class _Network(nn.Module):
    """All that is learnt; or the form of it that detects."""

    shown: torch.Tensor

    def __init__(self, backbone: Backbone, head: Head, posthoc: PostHoc | None, n_classes: int) -> None:
        super().__init__()
        self.backbone, self.head, self.posthoc = backbone, head, posthoc
        # Softmax gives every class a score; one that had no object in training must not be detected by it.
        self.register_buffer("shown", torch.zeros(n_classes, dtype=torch.bool))


class FastRCNN(Fitted[_Network]):
    """The detector."""

    paper: ClassVar[str] = "FRCN"
    needs_proposals: ClassVar[bool] = True
    quick_per_image: ClassVar[int] = 4
    Config: ClassVar[type[FastRCNNConfig]] = FastRCNNConfig
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "5": {"scales_px": SCALES_PAPER, "long_side_cap_px": 2000},
        "svd": {"svd_ranks": PUBLISHED_RANKS},
        "svm": {"scoring": "svm"},
        "no-bb": {"bb": False},
        "stage-wise": {"training": "stage-wise"},
        "classes": {"training": "classes"},
        "fc6": {"tuned_from": "fc6"},
        "conv2": {"tuned_from": "conv2"},
        "conv3": {"tuned_from": "conv3"},
    }
    paper_policy: ClassVar[Policy] = Policy(per_class_before=100, iou=0.3, per_image=None)
    """[FRCN lib/fast_rcnn/test.py]. Differs from it: no threshold over the whole test set that leaves 40 detections an
    image and class on average, because detections of one image must not depend on other images; and a box with an IoU
    of exactly 0.3 stays, as in R-CNN, where the release drops it."""

    def __init__(self, n_classes: int, config: FastRCNNConfig, backbone: Backbone, device: torch.device) -> None:
        """Store what it is made of.

        Raises:
            SettingsError: the settings, or settings and backbone, do not go together.
        """
        self.n_classes, self.config, self.device = n_classes, config, device
        self.convention = backbone.convention
        self._backbone = backbone
        self._widths = fc_widths(backbone.geometry, config.fc_width)
        self.tuned_from = backbone.geometry.tuned_from if config.tuned_from == "auto" else config.tuned_from
        self._check()

    def _check(self) -> None:
        config = self.config
        for name, known in (("training", ("joint", "stage-wise", "classes")), ("scoring", ("softmax", "svm"))):
            if getattr(config, name) not in known:
                raise SettingsError(f"{name} of Fast R-CNN: expected {', '.join(known)}; got {getattr(config, name)!r}")
        if not config.scales_px or min(config.scales_px) < 1:
            raise SettingsError(f"scales_px of Fast R-CNN: expected sides of 1 px or more; got {config.scales_px}")
        if not 1 <= config.images <= config.sampling.regions:
            raise SettingsError(
                f"images of Fast R-CNN: expected 1 to {config.sampling.regions}, the regions of a mini-batch; "
                f"got {config.images}"
            )
        if config.svd_ranks is not None and min(config.svd_ranks) < 1:
            raise SettingsError(f"svd_ranks of Fast R-CNN: expected ranks of 1 or more; got {config.svd_ranks}")
        self._backbone.tunable(self.tuned_from)

    @property
    def score_kind(self) -> str:
        """``softmax``: probabilities; ``svm``: signed distances."""
        return self.config.scoring

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What of the settings the network decides."""
        return {"tuned_from": self.tuned_from}

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """Score and move all proposals in one pass, then suppress [FRCN figure 1]."""
        if len(proposals) == 0:
            return Detections.none()
        boxes, scores = self.score(image, proposals)
        with stage(Stage.SUPPRESS):
            return decide(boxes, scores, self.config.policy)

    @torch.inference_mode()
    def score(self, image: torch.Tensor, proposals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (P, K, 4) px and scores (P, K): conv once; then RoI pooling, fc, classes and offsets.

        Differs from [FRCN lib/fast_rcnn/test.py]: proposals that round to the same cells are each sent through the fc
        layers (DEDUP_BOXES there), because how many are left would depend on the boxes, and the host would have to wait
        for the device to learn it. The release also gives all of them the moved box of the first.
        """
        network = self.detecting
        boxes, pooled = self.describe(network, image, proposals, self.config.scales_px)
        with stage(Stage.FC):
            features = network.head.features(pooled)
        with stage(Stage.DECODE):
            return self._decode(network, features, boxes, image.shape[1:])

    def _decode(
        self, network: _Network, features: torch.Tensor, boxes: torch.Tensor, size: torch.Size
    ) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = network.head.outputs
        if network.posthoc is not None:
            scores = network.posthoc.scores(features)
        else:
            scores = outputs["classes"](features).float().softmax(dim=1)[:, 1:]
        scores = scores.masked_fill(~network.shown, float("-inf"))
        moved = boxes[:, None].expand(-1, self.n_classes, 4)
        if self.config.bb and "boxes" in outputs:
            moved = decode(boxes, outputs["boxes"](features).float().view(len(boxes), self.n_classes, 4))
        return clip(moved, *size), scores

    def fit(self, examples: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """Train the network under one loss, classes and boxes together [FRCN 2.3].

        Differs from [FRCN 4.5]: where the paper does not say which convolutions to freeze, all are trained, because it
        freezes conv1 to save time and memory, and found that to cost nothing or little.

        Raises:
            FitError: the examples hold no object.
        """
        regions = [Regions.of(example, self.n_classes) for example in examples]
        network = self._build()
        decided = replace(self.config, **self.resolved)
        key = fit_key(decided, self.n_classes, self._backbone, regions, generator)
        of_network = network_key(decided, self.n_classes, self._backbone, regions, generator)
        with stage(Stage.FINETUNE):
            _Finetuning(self, network, examples, regions, generator).run(workdir, of_network)
        if network.posthoc is not None:

            @torch.inference_mode()
            def extract(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                _, pooled = self.describe(network, examples[index].image, boxes, self.config.scales_px)
                return pooled, network.head.features(pooled)

            fit_posthoc(
                network.posthoc,
                regions,
                extract,
                svm=self.config.svm,
                ridge=None,
                generator=generator,
                workdir=workdir,
                key=key,
            )
        self._take(network)

    def initialise(self, *, generator: torch.Generator) -> None:
        """Draw all weights at random, pretrained ones aside, and let every class be detected."""
        network = self._build()
        side = 2 * self._backbone.geometry.crop_px
        noise = torch.randint(256, (3, side, side), generator=generator, dtype=torch.uint8)
        self.start(network, noise, torch.tensor([[0.0, 0.0, side, side]]), generator)
        network.shown.fill_(True)
        if network.posthoc is not None:
            network.posthoc.initialise(generator)
        self._take(network)

    def _build(self) -> _Network:
        backbone = self._backbone.for_images()
        self.geometry = backbone.geometry
        outputs = {"classes": self.n_classes + 1}
        if self.config.training != "classes":
            outputs["boxes"] = 4 * self.n_classes
        head = Head(self.geometry.channels * self.geometry.pooled**2, self._widths, outputs)
        posthoc = PostHoc(self.n_classes, self._widths[1], 0) if self.config.scoring == "svm" else None
        network = _Network(backbone, head, posthoc, self.n_classes).to(self.device)
        lay_out(network.backbone, self.device)
        return network

    def start(self, network: _Network, image: torch.Tensor, boxes: torch.Tensor, generator: torch.Generator) -> None:
        """Fill the head: fc6 and fc7 from the backbone where they fit, the rest drawn."""
        # Differs from [FRCN 2.2]: fc6 and fc7 of ZF-5 take a pyramid and not one grid, so under it they start random,
        # because their weights have no meaning for another layout.
        own = own_fc(self._backbone, (self.geometry.pooled,), self._widths)
        with torch.no_grad():
            _, typical = self.describe(network, image, boxes, self.config.scales_px[:1])
        # N(0, 0.01) for classes, N(0, 0.001) for boxes [FRCN 2.3]
        deviations = {"classes": 0.01, "boxes": 0.001}
        drawn = {name: deviations[name] for name in network.head.outputs}
        network.head.start(typical, drawn, generator, own)

    def _deployed(self, network: _Network) -> _Network:
        """What detects, derived from what was learnt."""
        head, ranks = network.head, self.config.svd_ranks
        if ranks is not None:
            fc = self.geometry.fc
            head = compress(
                head, ranks_for(ranks, self._widths, published=fc is not None and fc.widths == self._widths)
            )
        bf16 = self.config.bf16
        detecting = _Network(
            detecting_copy(network.backbone, bf16), detecting_copy(head, bf16), network.posthoc, self.n_classes
        )
        detecting.shown = network.shown
        return detecting

    def describe(
        self, network: _Network, image: torch.Tensor, boxes: torch.Tensor, scales_px: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (P, 4) on the device and their pooled features (P, C * 36), each from the scale that suits it best."""
        geometry = self.geometry
        with stage(Stage.PREPARE):
            # Out of pageable memory: the host goes on once CUDA has taken the data over. It may wait for the stream
            # first, which has nothing to do yet.
            boxes = boxes.to(self.device, non_blocking=True)
            pyramid = ImagePyramid.of(
                self.convention.apply(image.to(self.device, non_blocking=True)),
                scales_px,
                long_side_cap_px=self.config.long_side_cap_px,
                smallest_px=geometry.smallest_px,
                relative_size=geometry.relative_size,
            )
            dtype = next(network.backbone.parameters()).dtype
            layout = lay_out(network.backbone, self.device)
            images = [one.to(dtype, memory_format=layout) for one in pyramid.images]
        with stage(Stage.CONV):
            maps = [network.backbone(one) for one in images]
        with stage(Stage.POOL):
            rois, which = pyramid.place(boxes, "paper")
            offset_px = geometry.cell0_px if self.config.cell_centres else 0.0
            pooled = roi_pool(
                stack_maps(maps),
                rois,
                size=geometry.pooled,
                stride=geometry.stride_px,
                offset_px=offset_px,
                batch_index=which,
            )
            return boxes, pooled.flatten(1)


class _Finetuning:
    """One fit of the network: what its mini-batches are and which losses it goes down."""

    def __init__(
        self,
        detector: FastRCNN,
        network: _Network,
        examples: Sequence[Example],
        regions: Sequence[Regions],
        generator: torch.Generator,
    ) -> None:
        config = detector.config
        with_objects = [bool((item.best_iou >= config.sampling.foreground_iou).any()) for item in regions]
        usable = torch.tensor(with_objects).nonzero().squeeze(1)
        if len(usable) == 0:
            raise FitError("the training images hold no object to learn from")
        self._detector, self._network, self._examples, self._regions = detector, network, examples, regions
        self._normaliser = Normaliser.of(regions, detector.n_classes, config.sampling.foreground_iou)
        self._normaliser = self._normaliser.to(detector.device)
        network.shown[torch.cat([item.labels for item in regions]).to(detector.device) - 1] = True
        first = int(usable[0])
        detector.start(network, examples[first].image, regions[first].boxes, generator)
        self._streams = Streams(generator)
        self._order = ImageOrder(usable, config.images, self._streams)

    def run(self, workdir: Path, key: str) -> None:
        """Go down the loss that the settings ask for, or one after the other, each with a checkpoint of its own."""
        head, training = self._network.head, self._detector.config.training
        tuned = self._network.backbone.tunable(self._detector.tuned_from)
        boxes = list(head.outputs["boxes"].parameters()) if training != "classes" else []
        above = [one for one in head.parameters() if all(one is not other for other in boxes)]
        if training == "joint":
            self._descend("network", [*tuned, *above, *boxes], self._multi_task_loss, workdir, key)
        else:
            self._descend("classes", [*tuned, *above], self._class_loss, workdir, key)
        if training == "stage-wise":
            # Dropout stays on below the one layer that learns (models/*/piecewise/train.prototxt of the release).
            self._descend("boxes", boxes, self._box_loss, workdir, key)
        if training != "classes":
            self._normaliser.fold_into(head.outputs["boxes"])

    def _descend(
        self,
        name: str,
        learning: Sequence[nn.Parameter],
        loss_of: Callable[[int], torch.Tensor],
        workdir: Path,
        key: str,
    ) -> None:
        network, config = self._network, self._detector.config
        network.requires_grad_(False)  # frozen layers below the first that learns leave no graph
        for parameter in learning:
            parameter.requires_grad_(True)

        def of(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
            return [one for one in parameters if one.requires_grad]

        head = network.head
        sgd = config.sgd if head.pretrained else config.sgd_random_fc
        of_each = groups(sgd, new=of(head.new), pretrained=of([*head.pretrained, *network.backbone.parameters()]))
        learnt = nn.ModuleList([network.backbone, head])  # and no SVMs, which come later
        checkpoint = Checkpoint(workdir / f"{name}.checkpoint", learnt, f"{name} {key}")
        descend(of_each, sgd, config.iterations, loss_of, checkpoint)

    def _multi_task_loss(self, iteration: int) -> torch.Tensor:
        """[FRCN eq. 1]"""
        outputs, targets, labels = self._outputs(iteration)
        of_boxes = box_loss(outputs["boxes"].view(len(labels), -1, 4), targets, labels, self._normaliser)
        return functional.cross_entropy(outputs["classes"], labels) + self._detector.config.bbox_weight * of_boxes

    def _class_loss(self, iteration: int) -> torch.Tensor:
        outputs, _, labels = self._outputs(iteration)
        return functional.cross_entropy(outputs["classes"], labels)

    def _box_loss(self, iteration: int) -> torch.Tensor:
        outputs, targets, labels = self._outputs(iteration)
        return box_loss(outputs["boxes"].view(len(labels), -1, 4), targets, labels, self._normaliser)

    def _outputs(self, iteration: int) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """What the network says of a mini-batch, its box targets (B, 4) and its labels (B,)."""
        detector, config, streams = self._detector, self._detector.config, self._streams
        order = self._order[iteration]
        draw = draw_images(self._regions, config.sampling, order, streams.cpu(iteration))
        scales = torch.randint(len(config.scales_px), (len(order),), generator=streams.cpu(iteration, _SCALES)).tolist()
        pooled, targets, labels = [], [], []
        seen = dict.fromkeys(zip(draw.image.tolist(), draw.flipped.tolist(), strict=True))
        for (index, mirrored), scale in zip(seen, scales, strict=False):  # fewer where the same image was drawn twice
            mine = (draw.image == index) & (draw.flipped == mirrored)
            pixels, item = self._examples[index].image, self._regions[index]
            boxes, matched = item.boxes[draw.region[mine]], item.best_box[draw.region[mine]]
            if mirrored:
                width = pixels.shape[2]
                pixels, boxes, matched = pixels.flip(2), flip(boxes, width), flip(matched, width)
            pooled.append(detector.describe(self._network, pixels, boxes, config.scales_px[scale : scale + 1])[1])
            targets.append(encode(boxes, matched))
            labels.append(draw.label[mine])
        dropped_by = streams.on(detector.device, iteration, _DROPOUT)
        outputs = self._network.head(torch.cat(pooled), dropped_by)
        return outputs, torch.cat(targets).to(detector.device), torch.cat(labels).to(detector.device)


METHOD = FastRCNN
