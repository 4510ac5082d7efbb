"""On which network a method runs, as its name says it: ``rcnn@caffenet`` stands for R-CNN on CaffeNet.

A comparison puts all its methods on one network, its ``--backbone``, so that they differ in what the papers changed.
A paper's table may not: SPP-net is timed on ZF-5 beside R-CNN on AlexNet [SPP Table 9]. ``@`` is for such tables. It
ends a name and holds for all of it, for both members of ``spp+rcnn@zf5``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["AS_PRINTED", "NetworkError", "is_printed_as", "network_of", "split"]

AS_PRINTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "caffenet": ("CaffeNet", "Alex-5", "AlexNet"),
        "vgg-m": ("VGG_CNN_M_1024",),
        "vgg16": ("VGG16",),
        "zf5": ("ZF-5",),
    }
)
"""By backbone, what the papers call it. Their AlexNet is Caffe's, in two groups and with local response normalisation;
torchvision's ``alexnet`` has neither and other numbers of filters, and no paper of the three timed it."""


class NetworkError(ValueError):
    """A method's name does not say its network as it should; the message is one line."""


def split(name: str) -> tuple[str, str | None]:
    """A method's name without its network, and the network; None where the comparison's own is meant.

    Raises:
        NetworkError: there is an ``@`` elsewhere than before the network that ends the name.
    """
    method, at, network = name.partition("@")
    if not at:
        return name, None
    if not method or not network or set("@+:") & set(network):
        raise NetworkError(f"{name!r}: @ stands once, between the whole name and its network, as in spp:5@zf5")
    return method, network


def network_of(about: Mapping[str, Any], name: str) -> str:
    """The backbone that a method runs on; `about` is a plan, or a summary or manifest with one.

    Raises:
        NetworkError: see `split`.
    """
    plan = about.get("plan", about)
    return split(name)[1] or str(plan["backbone"])


def is_printed_as(network: str, printed: str) -> bool:
    """Whether a paper that writes `printed` means our backbone `network`."""
    return printed in AS_PRINTED.get(network, ())
