"""The contract of `detectors.contract` as a test class, for the author of a detector to run with pytest.

A plug-in's whole test file, for a method that is installed under the name ``mine``::

    from harness.testing import DetectorContract

    class TestMine(DetectorContract):
        name = "mine"
        settings = {"iterations": 3}

Needs pytest, which ``rcnn-harness[testing]`` brings. Everything runs on the CPU, without data and without a network.
"""

from __future__ import annotations

import pytest

# Before the modules with the assertions are imported: pytest then says what was compared.
pytest.register_assert_rewrite("harness.testing.subject", "harness.testing.detecting", "harness.testing.fitting")

from harness.testing.detecting import DetectingContract  # noqa: E402
from harness.testing.ear import Ear  # noqa: E402
from harness.testing.fitting import FittingContract  # noqa: E402
from harness.testing.material import BACKBONE, CLASSES, scenes  # noqa: E402

__all__ = ["BACKBONE", "CLASSES", "DetectorContract", "Ear", "scenes"]


class DetectorContract(DetectingContract, FittingContract):
    """All that a detector promises. Subclass it under a name that begins with ``Test`` and set `name`.

    A promise that a method cannot keep is overridden by a test that is marked ``pytest.mark.xfail`` with the reason.
    """
