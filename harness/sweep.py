"""Inputs changed on purpose, to see what a method's time grows with: fewer boxes, or images of another size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from detectors.contract import Example

__all__ = ["Sweep"]

Quantity = Literal["proposals", "megapixels"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One quantity and the values that it is given, as in ``proposals=100,300,1000``."""

    quantity: Quantity
    values: tuple[float, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse ``QUANTITY=VALUE,VALUE,...``.

        Raises:
            ValueError: it is not of that form, or a value makes no sense; the message is one line.
        """
        name, equals, listed = text.partition("=")
        quantity = name.strip()
        if not equals or quantity not in ("proposals", "megapixels"):
            raise ValueError(f"expected proposals=100,300,... or megapixels=0.1,0.5,..., got {text!r}")
        try:
            values = tuple(float(part) for part in listed.split(","))
        except ValueError:
            raise ValueError(f"expected numbers with commas between after {quantity}=, got {listed!r}") from None
        whole = quantity == "proposals"
        low, high = (1, 1e6) if whole else (1e-3, 100)
        for value in values:
            if not low <= value <= high or (whole and value != int(value)):
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"expected {kind} from {low:g} to {high:g} for each of {quantity}, got {value:g}")
        if len(values) < 2 or len(set(values)) < len(values):
            raise ValueError(f"expected two different {quantity} at least, each once, got {listed!r}")
        return cls("proposals" if whole else "megapixels", values)

    def point(self, value: float) -> str:
        """How samples name a value, such as ``proposals=300``."""
        return f"{self.quantity}={value:g}" if self.quantity == "megapixels" else f"proposals={int(value)}"

    def apply(self, example: Example, value: float) -> Example:
        """The example with its first so many boxes, or resized to so many megapixels with its boxes scaled alike."""
        if self.quantity == "proposals":
            return replace(example, proposals=example.proposals[: int(value)])
        import torch
        from torch.nn import functional

        height, width = example.image.shape[1:]
        factor = (value * 1e6 / (height * width)) ** 0.5
        size = (max(round(height * factor), 1), max(round(width * factor), 1))
        image = functional.interpolate(example.image[None].float(), size, mode="bilinear", antialias=True)[0]
        scale = torch.tensor([size[1] / width, size[0] / height] * 2)
        return replace(
            example,
            image=image.round().clamp(0, 255).to(torch.uint8),
            boxes=example.boxes * scale,
            proposals=example.proposals * scale,
        )
