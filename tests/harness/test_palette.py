"""The colours of figures, seen with the three common colour deficiencies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import harness
from harness.rendering.palette import INK, LIGHT_TEXT, ON_DARK, OUTCOMES, STAGES, VERDICTS, looks

Plane = npt.NDArray[np.float64]

# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency (2009), the
# tables of severity 1.0; on linear RGB.
SEEN_WITH = {
    "any": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# IEC 61966-2-1: linear sRGB to XYZ, and its white.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.0890])
TOLD_APART = 15.0
"""CIE 1976 colour difference; about 2.3 is just noticeable side by side, as areas."""


def linear(colour: str) -> Plane:
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(colour: str, vision: str) -> Plane:
    seen = np.clip(SEEN_WITH[vision] @ linear(colour), 0, 1)
    ratio = TO_XYZ @ seen / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def too_near(pairs: Iterable[tuple[str, str]], vision: str) -> list[tuple[str, str, float]]:
    differences = [(one, other, float(np.linalg.norm(lab(one, vision) - lab(other, vision)))) for one, other in pairs]
    return [each for each in differences if each[2] < TOLD_APART]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((float(TO_XYZ[1] @ linear(each)) for each in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_simulation_keeps_white_and_finds_red_and_green_alike() -> None:
    """A check of the check: greys stay, and what a protanope mixes up comes out near."""
    for vision in SEEN_WITH:
        assert lab("#ffffff", vision) == pytest.approx([100, 0, 0], abs=0.5)
    assert not too_near([("#b04040", "#5f6f30")], "any")
    assert too_near([("#b04040", "#5f6f30")], "deuteranopia")


@pytest.mark.parametrize("vision", SEEN_WITH)
def test_neighbours_are_told_apart(vision: str) -> None:
    """Stages that lie beside each other in a bar, the first methods of a run, and kinds of boxes."""
    assert not too_near(pairwise(STAGES.values()), vision)
    without_own_boxes = [colour for name, colour in STAGES.items() if name != "propose"]
    assert not too_near(pairwise(without_own_boxes), vision)
    first = [look.colour for look in looks("abcd").values()]
    assert not too_near(combinations(first, 2), vision)
    assert not too_near(combinations(OUTCOMES.values(), 2), vision)
    assert not too_near(combinations([colour for colour, _ in VERDICTS.values()], 2), vision)


@pytest.mark.parametrize("vision", SEEN_WITH)
def test_colours_of_a_dark_page_are_told_apart(vision: str) -> None:
    """As those that they stand for: the first methods of a run, kinds of boxes, and verdicts but for the grey one."""
    first = [look.colour for look in looks("abcd").values()]
    verdicts = [colour for colour, _ in VERDICTS.values() if colour in ON_DARK]
    for group in (first, verdicts):
        assert not too_near(combinations([ON_DARK[colour][1] for colour in group], 2), vision)


def test_dots_and_lines_stand_out_on_a_dark_page() -> None:
    """By 5:1, where 3:1 is asked of graphics [WCAG 2.2, 1.4.11], as dots let some of the page through."""
    css = (Path(harness.__file__).parent / "webpage" / "templates" / "page.css").read_text(encoding="utf-8")
    (paper,) = re.findall(r"prefers-color-scheme: dark\) {\n  :root {\n    --paper: (#\w+);", css)
    assert {look.colour for look in looks("abcdef").values()} == set(ON_DARK)
    for name, colour in ON_DARK.values():
        assert contrast(colour, paper) >= 5
        assert f"--{name}: {colour.lower()};" in css


def test_letters_on_a_stage_can_be_read() -> None:
    """White or black, whichever the stage has, at 3:1, as for large letters."""
    for name, colour in STAGES.items():
        assert contrast(colour, "#ffffff" if name in LIGHT_TEXT else "#000000") >= 3, name


def test_no_two_looks_are_the_same() -> None:
    """For as many methods as anyone compares, and beside colour there is always a mark, and mostly a stroke."""
    found = looks(map(str, range(49)))
    assert len({(look.colour, look.mark) for look in found.values()}) == len(found)
    assert len({look.stroke for look in list(found.values())[:5]}) == 5
    assert INK in {look.colour for look in found.values()}
