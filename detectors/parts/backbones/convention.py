"""How a network wants its pixels: channel order, range, mean and deviation, written as one line of text.

The line stands in the metadata of a weights file (key ``input``), so that weights and their convention cannot be
parted: ``BGR 0-255 minus (103.939,116.779,123.68)`` or ``RGB 0-1 minus (0.485,0.456,0.406) over (0.229,0.224,0.225)``.
Means and deviations are given in the named channel order. Swapping either in silence costs accuracy and no error.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch

__all__ = ["ConventionError", "InputConvention"]

_TRIPLE = r"\(([^)]*)\)"
_LINE = re.compile(rf"(RGB|BGR) 0-(255|1) minus {_TRIPLE}(?: over {_TRIPLE})?")


class ConventionError(ValueError):
    """A text does not name an input convention."""


def _three(text: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise ConventionError(f"expected three numbers, got ({text})") from None
    if not all(math.isfinite(number) for number in (first, second, third)):
        raise ConventionError(f"expected three finite numbers, got ({text})")
    return first, second, third


@dataclass(frozen=True, slots=True)
class InputConvention:
    """Channel order, range and normalisation of a network's input."""

    order: str
    """``RGB`` or ``BGR``."""
    maximum: int
    """255 or 1: what white becomes before the mean is taken off."""
    mean: tuple[float, float, float]
    """In channel order and range."""
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Divides after the mean is taken off, in channel order."""

    @classmethod
    def parse(cls, text: str) -> InputConvention:
        """Read the line.

        Raises:
            ConventionError: the text is not of that form.
        """
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise ConventionError(
                f"not an input convention: {text!r}; expected such as 'BGR 0-255 minus (104,117,123)' "
                "or 'RGB 0-1 minus (0.485,0.456,0.406) over (0.229,0.224,0.225)'"
            )
        order, maximum, mean, deviation = match.groups()
        divisors = _three(deviation) if deviation else (1.0, 1.0, 1.0)
        if min(divisors) <= 0:
            raise ConventionError(f"expected deviations above 0, got ({deviation})")
        return cls(order, int(maximum), _three(mean), divisors)

    def __str__(self) -> str:
        def triple(values: tuple[float, float, float]) -> str:
            return "(" + ",".join(repr(value).removesuffix(".0") for value in values) + ")"

        over = "" if self.deviation == (1.0, 1.0, 1.0) else f" over {triple(self.deviation)}"
        return f"{self.order} 0-{self.maximum} minus {triple(self.mean)}{over}"

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """Turn RGB uint8 (3, H, W) into the network's float32 (3, H, W), on the image's device.

        Zero is the mean colour afterwards, so padding with zeros pads with the mean.
        """
        pixels: torch.Tensor = image if self.maximum == 255 else image / 255
        found = torch.empty(image.shape, device=image.device)
        # Channel by channel with plain numbers: tensors made on the host would wait for the device.
        for place, (mean, deviation) in enumerate(zip(self.mean, self.deviation, strict=True)):
            channel = found[place]
            torch.sub(pixels[place if self.order == "RGB" else 2 - place], mean, out=channel)
            if deviation != 1:
                channel.div_(deviation)
        return found
