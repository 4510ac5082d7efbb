"""Nearest class centre: the image is convolved once, and a class is the mean of its objects' pooled features."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate, normalize
from torchvision.ops import box_iou, roi_align

from detectors.contract import SHARED_POLICY, FitError, Policy, Stage, detect_only, stage
from detectors.parts.decide import decide


@dataclass(frozen=True)
class CentreConfig:
    iterations: int = 1  # nothing is fine-tuned
    policy: Policy = detect_only(SHARED_POLICY)
    side_px: int = 320  # every image is warped to this square


class Centre:
    paper, needs_proposals, quick_per_image = "CENTRE", True, 1
    Config, variants, paper_policy = CentreConfig, {"fine": {"side_px": 480}}, SHARED_POLICY

    def __init__(self, n_classes, config, backbone, device):
        self.config, self.backbone, self.device = config, backbone, device
        self.shape = (n_classes + 1, 9 * backbone.geometry.channels)  # row 0 is background
        self.network = self.centres = None

    def describe(self, image, boxes):  # (3, H, W) and (N, 4) px -> (N, 9 C), each of length 1
        self.network = self.network or deepcopy(self.backbone).to(self.device)
        side, (height, width) = self.config.side_px, image.shape[1:]
        with stage(Stage.PREPARE):
            pixels = interpolate(self.network.convention.apply(image.to(self.device))[None], (side, side))
            windows = (boxes * (side / torch.tensor([width, height, width, height]))).to(self.device)
        with stage(Stage.CONV):
            features = self.network(pixels)
        with stage(Stage.POOL):
            return normalize(roi_align(features, [windows], 3, features.shape[3] / side).flatten(1))

    @torch.inference_mode()
    def fit(self, examples, *, generator, workdir):
        sums, counts = torch.zeros(self.shape), torch.zeros(self.shape[0], 1)
        with stage(Stage.FEATURES):
            for example in examples:
                boxes = torch.cat([example.boxes, example.proposals])
                background = torch.full((len(boxes), 1), 0.5)  # wins where no object overlaps by more
                nearest = torch.cat([background, box_iou(boxes, example.boxes)], dim=1).argmax(dim=1)
                labels = torch.cat([torch.tensor([0]), example.labels])[nearest]
                sums.index_add_(0, labels, self.describe(example.image, boxes).cpu())
                counts.index_add_(0, labels, torch.ones(len(labels), 1))
        if not counts[1:].any():
            raise FitError("no object in any example, so no class has a centre")
        centres = normalize(sums / counts)  # NaN for a class without objects: it is never detected
        self.centres = torch.cat([centres[:1].nan_to_num(), centres[1:]]).to(self.device)

    def initialise(self, *, generator):
        self.centres = normalize(torch.randn(self.shape, generator=generator)).to(self.device)

    @torch.inference_mode()
    def detect(self, image, proposals):
        if self.centres is None:
            raise RuntimeError("detect comes after fit, initialise or restore")
        vectors = self.describe(image, proposals)
        with stage(Stage.DECODE):
            likeness = vectors @ self.centres.T
            scores = likeness[:, 1:] - likeness[:, :1]
        with stage(Stage.SUPPRESS):
            return decide(proposals.to(self.device), scores, self.config.policy)

    def save(self, path):
        save_file({"centres": self.centres.cpu()}, path)

    def restore(self, path):
        self.centres = load_file(path)["centres"].to(self.device)
