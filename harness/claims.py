"""Published numbers, as typed in by hand in `results/reference`.

A claim is one number that a paper prints. It is kept as printed, because the digits say how exactly it is known: from
0.10 s one may conclude 0.095 to 0.105 s, from 0.1 s only 0.05 to 0.15 s. Where the paper rounds in another way, or only
says about how much, `Claim.reading` tells.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["DETECTING", "FEATURES", "RATIOS", "READINGS", "UNITS", "Claim", "ClaimError", "read_claims"]

DETECTING = ("prepare", "propose", "conv", "pool", "fc", "decode", "suppress")
"""The stages of detecting by name; `detectors.contract` has them too, but importing it would load torch."""

FEATURES = ("prepare", "conv", "pool", "fc")
"""Those that together are the time of ``features``: from the image to the features of each box."""

RATIOS = ("conv", "features", "total")
"""What methods are compared by, the baseline's time over their own."""

UNITS = {
    "map": "%",
    "ap": "%",
    "conv": "s",
    "pool": "s",
    "fc": "s",
    "scores": "s",
    "total": "s",
    "full_system": "s",
    "proposals": "s",
    "share": "%",
    "train": "h",
    "features_hours": "h",
    "features_days": "d",
    "speedup_conv": "x",
    "speedup_total": "x",
    "speedup_train": "x",
    "pixel_ratio_conv": "x",
}
"""Each quantity that a claim may be about, and the unit in which it is kept.

Times in s are for one image, those in h and d for a set of images. A share is that of the time of a forward pass; a
ratio of pixels is that of those which the convolutions read.
"""

READINGS = ("printed", "about", "cut", "by eye")
"""How the digits are to be read; `Claim.low` and `Claim.high` say what each allows."""

_PRINTED = re.compile(r"\d+(\.\d+)?")


_TWO_MACHINES = "two machines: "
"""What the hardware of a ratio begins with, if its two times were not taken on one."""


class ClaimError(ValueError):
    """A reference table cannot be read; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One published number."""

    source: str
    """Key of the paper: ``RCNN``, ``SPP`` or ``FRCN``."""
    version: str
    """Such as ``1406.4729v4``: versions of one paper print different numbers. Of what the authors wrote elsewhere, the
    repository and commit or thread."""
    locator: str
    """Such as ``Table 9``, ``Section 4.3`` or ``Abstract``."""
    method: str
    """Name of the method without its variant: ``rcnn``, ``spp``, ``fast``, or that of one which others published."""
    variant: str
    """Such as ``5`` of ``spp:5``; empty for the method as it is. A word of the paper where `detectors` has no such."""
    backbone: str
    """As the paper names it; empty for what has none, or none that is known."""
    train: str
    test: str
    stages: tuple[str, ...]
    """What a time covers: names of `DETECTING` or ``proposals``. Empty where the source does not say."""
    quantity: str
    """A key of `UNITS`."""
    part: str
    """What of it: a class of ``ap``, a layer of ``share``, a count of boxes (``2000 proposals``); empty for all."""
    printed: str
    """The digits as they stand in the source."""
    reading: str
    """One of `READINGS`."""
    unit: str
    relative_to: str | None
    """Baseline of a ratio, such as ``spp:5@VGG16``; None for what is no ratio."""
    hardware: str | None
    """None where the source names none, or where it plays no part."""
    note: str

    @property
    def value(self) -> float:
        """The number, in `unit`."""
        return float(self.printed)

    @property
    def decimals(self) -> int:
        """How many digits are printed after the point."""
        return len(self.printed.partition(".")[2])

    @property
    def half_unit(self) -> float:
        """Half of the last printed digit: correct rounding keeps the true value within `value` +- `half_unit`."""
        return 0.5 / 10.0**self.decimals

    @property
    def low(self) -> float:
        """The least true value, in `unit`, that `printed` may stand for."""
        return self.value if self.reading == "cut" else self.value - self._slack

    @property
    def high(self) -> float:
        """The greatest; one that was cut off is below it by however little."""
        return self.value + self._slack

    @property
    def _slack(self) -> float:
        """Half a unit of the last digit; of the last that is not 0 if about; five units if by eye; one if cut off."""
        if self.reading == "about" and not self.decimals:
            return self.half_unit * 10.0 ** (len(self.printed) - len(self.printed.rstrip("0")))
        return self.half_unit * {"printed": 1.0, "about": 1.0, "cut": 2.0, "by eye": 10.0}[self.reading]

    @property
    def one_machine(self) -> bool:
        """Whether no two machines are behind the number, as far as the source says."""
        return not (self.hardware or "").startswith(_TWO_MACHINES)

    @property
    def name(self) -> str:
        """Method and variant as the command line writes them, such as ``spp:5``."""
        return f"{self.method}:{self.variant}" if self.variant else self.method

    @property
    def citation(self) -> str:
        """Where it stands, such as ``SPP Table 9 (1406.4729v4)``."""
        return f"{self.source} {self.locator} ({self.version})"


_COLUMNS = tuple(field.name for field in fields(Claim))
_REQUIRED = ("source", "version", "locator", "method", "quantity", "printed", "reading", "unit")


def read_claims(folder: Traversable | None = None) -> tuple[Claim, ...]:
    """All published numbers, file by file in the order of their names, each file in its own order.

    Args:
        folder: holds ``*.csv``; by default that of the installed package, or ``results/reference`` of a checkout.

    Raises:
        ClaimError: a file is missing a column, or a line of it cannot be read.
    """
    folder = _default_folder() if folder is None else folder
    tables = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".csv")), key=lambda entry: entry.name)
    if not tables:
        raise ClaimError(f"{folder}: holds no reference table; expected files such as spp_net.csv")
    seen: dict[tuple[str | None, ...], str] = {}
    claims: list[Claim] = []
    for table in tables:
        for where, claim in _read_table(table):
            about = (claim.citation, claim.name, claim.backbone, claim.train, claim.test)
            key = (*about, claim.quantity, claim.part, claim.relative_to, claim.hardware)
            if key in seen:
                raise ClaimError(f"{where}: says the same as {seen[key]}; keep one of the two rows")
            seen[key] = where
            claims.append(claim)
    return tuple(claims)


def _default_folder() -> Traversable:
    packaged = files("harness") / "reference"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "results" / "reference"


def _read_table(table: Traversable) -> Iterator[tuple[str, Claim]]:
    try:
        text = table.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ClaimError(f"{table.name}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    rows = csv.reader(text.splitlines(), strict=True)
    try:
        header = tuple(next(rows, ()))
        if header != _COLUMNS:
            raise ClaimError(f"{table.name} line 1: expected the columns {','.join(_COLUMNS)}, got {','.join(header)}")
        for row in rows:
            where = f"{table.name} line {rows.line_num}"
            if len(row) != len(_COLUMNS):
                raise ClaimError(f"{where}: expected {len(_COLUMNS)} cells, got {len(row)}; quote a text with a comma")
            yield where, _claim(where, dict(zip(_COLUMNS, (cell.strip() for cell in row), strict=True)))
    except csv.Error as error:
        raise ClaimError(f"{table.name} line {rows.line_num}: {error}") from error


def _claim(where: str, cells: dict[str, str]) -> Claim:
    for column in _REQUIRED:
        if not cells[column]:
            raise ClaimError(f"{where}: {column} is empty; every published number needs one")
    quantity, printed, unit = cells["quantity"], cells["printed"], cells["unit"]
    if quantity not in UNITS:
        raise ClaimError(f"{where}: no quantity {quantity!r}; there are {', '.join(UNITS)}")
    if unit != UNITS[quantity]:
        raise ClaimError(f"{where}: {quantity} is given in {UNITS[quantity]!r}, got {unit!r}")
    if not _PRINTED.fullmatch(printed):
        raise ClaimError(f"{where}: printed must be digits such as 0.10, got {printed!r}")
    if cells["reading"] not in READINGS:
        raise ClaimError(f"{where}: no reading {cells['reading']!r}; there are {', '.join(READINGS)}")
    if quantity == "ap" and not cells["part"]:
        raise ClaimError(f"{where}: part is empty; an average precision needs its class there")
    if bool(cells["relative_to"]) != (unit == "x"):
        raise ClaimError(f"{where}: relative_to is for ratios, and every ratio needs it, got {cells['relative_to']!r}")
    stages = tuple(cells["stages"].split())
    unknown = [stage for stage in stages if stage not in (*DETECTING, "proposals")]
    if unknown:
        raise ClaimError(f"{where}: no stage {unknown[0]!r}; there are proposals, {', '.join(DETECTING)}")
    texts = {key: cells[key] for key in _COLUMNS if key not in ("stages", "relative_to", "hardware")}
    return Claim(**texts, stages=stages, relative_to=cells["relative_to"] or None, hardware=cells["hardware"] or None)
