"""Randomness with random access: the draws of step i depend on i and on nothing drawn before it.

A fit that was stopped goes on from any step without having kept the state of a generator, and draws what the unbroken
one would have drawn.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["Streams"]


class Streams:
    """A generator for every step of a fit."""

    def __init__(self, generator: torch.Generator) -> None:
        """Seeded by the next number of a CPU generator."""
        self._seed = int(torch.randint(2**62, (1,), generator=generator))
        self._generators: dict[torch.device, torch.Generator] = {}

    def cpu(self, step: int, purpose: int = 0) -> torch.Generator:
        """The generator of a step, for tensors of the CPU; `purpose` tells apart what draws in the same step.

        Valid until the next call: one generator is seeded anew each time.
        """
        return self.on(torch.device("cpu"), step, purpose)

    def on(self, device: torch.device, step: int, purpose: int = 0) -> torch.Generator:
        """The same for tensors of `device`; seeding it does not wait for the device."""
        if device not in self._generators:
            self._generators[device] = torch.Generator(device)
        digest = hashlib.blake2b(f"{self._seed} {step} {purpose}".encode(), digest_size=8).digest()
        return self._generators[device].manual_seed(int.from_bytes(digest, "big") >> 1)
