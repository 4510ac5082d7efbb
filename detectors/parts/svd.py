"""Truncated SVD of fc6 and fc7, which makes detecting faster after a network has learnt [FRCN 3.1].

With thousands of regions an image the fc layers take nearly half of the time. A layer ``y = W x + b``, W of u x v, is
replaced by two, ``y = U (S V^T x) + b``, where U, S and V hold the t largest singular values of W: t (u + v)
multiply-adds instead of u v. There is no nonlinearity between the two.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from detectors.contract import notice
from detectors.parts.affine import affine
from detectors.parts.head import Head

__all__ = ["PUBLISHED_RANKS", "LowRank", "compress", "factorise", "ranks_for"]

PUBLISHED_RANKS = (1024, 256)
"""Of fc6 and fc7, for all three networks [FRCN 4.4; models/*/compressed/test.prototxt of the release]."""

_PUBLISHED_WIDTH = 4096
_COLUMNS = 4096
"""Columns of W that are held in float64 at a time: 128 MiB for a layer of 4,096."""


class LowRank(nn.Module):
    """Two linear layers in the place of one, the first without a bias."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor, bias: torch.Tensor) -> None:
        """`first` (t, v), ``S V^T``; `second` (u, t), U; `bias` (u,), the layer's own."""
        super().__init__()
        self.first = nn.Parameter(first, requires_grad=False)
        self.second = nn.Parameter(second, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    @property
    def weight(self) -> torch.Tensor:
        """The weights that meet the input, for those who ask a layer for its type of number."""
        return self.first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, u) of x (N, v)."""
        return affine(affine(x, self.first), self.second, self.bias)


def ranks_for(ranks: tuple[int, int], widths: tuple[int, int], *, published: bool) -> tuple[int, int]:
    """How many singular values of fc6 and fc7 to keep; `published`: the layers are as wide as in the network's paper.

    Differs from [FRCN 3.1]: layers of another width keep a share of it, because 1,024 and 256 are a quarter and a
    sixteenth of the 4,096 that they were chosen for, and a layer of 1,024 would otherwise grow instead of shrink.
    """
    if published:
        return ranks
    scaled = [max(1, round(rank * width / _PUBLISHED_WIDTH)) for rank, width in zip(ranks, widths, strict=True)]
    return scaled[0], scaled[1]


@torch.no_grad()
def factorise(layer: nn.Linear, rank: int) -> LowRank:
    """The layer of that rank which is nearest in the Frobenius norm.

    U is taken from the eigenvectors of ``W W^T`` in float64, and ``S V^T`` is ``U^T W``. The error is that of an exact
    SVD, the root of the sum of squares of the dropped singular values, to within 1e-6 of the norm of W: squaring loses
    singular values below 1e-8 of the largest one alone, and the factors are rounded to the layer's type at the end.
    One eigen-decomposition of u x u bounds the time: a layer of 4,096 takes about a minute on one core.
    """
    weight = layer.weight
    blocks = weight.split(_COLUMNS, dim=1)
    gram = torch.zeros(len(weight), len(weight), dtype=torch.float64, device=weight.device)
    for block in blocks:
        wide = block.double()
        gram.addmm_(wide, wide.T)
    _, vectors = torch.linalg.eigh(gram)  # eigenvalues rise
    kept = vectors[:, -min(rank, *weight.shape) :].flip(1)
    first = torch.cat([(kept.T @ block.double()).to(weight.dtype) for block in blocks], dim=1)
    return LowRank(first, kept.to(weight.dtype).contiguous(), layer.bias.detach().clone())


def compress(head: Head, ranks: tuple[int, int] = PUBLISHED_RANKS) -> Head:
    """A head that gives nearly the same outputs with fewer multiply-adds; `head` stays as it is.

    A layer that two layers of its rank would make dearer is kept whole, with a notice.
    """
    replaced: dict[int, nn.Module] = {}
    for name, layer, rank in (("fc6", head.fc6, ranks[0]), ("fc7", head.fc7, ranks[1])):
        u, v = layer.out_features, layer.in_features
        if rank * (u + v) >= u * v:
            notice(f"{name} is not compressed: rank {rank} of {u} x {v} would save no multiply-add")
            replaced[id(layer)] = layer
        else:
            replaced[id(layer)] = factorise(layer, rank)
    # What the memo names is taken from there and not copied.
    return copy.deepcopy(head, replaced)
