"""What the campaign consists of: parts read from campaign.toml, each some commands on so many photographs.

A part takes as many photographs as its floating-point operations let it measure in the time given: with F operations of
all methods on one photograph and a cautious rate of R a second, a call of all methods takes F / R seconds. Warming up
takes some calls, each photograph a few more:

    images = (measuring_seconds / (F / R) / times - calls_before) / calls_per_image

with a limit by what was prepared, and `times` how often the part goes through its photographs. The rate is assumed and
not measured: a device that is slower than that needs the same command a second time.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Campaign", "CampaignError", "Part"]

_NEWEST_SCHEMA = 1
_LEAST_IMAGES = 4
"""Fewer clusters give no interval worth printing."""
_QUICK_IMAGES = 2
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class CampaignError(ValueError):
    """The campaign cannot go on as asked; the message is one line: what, where, what instead."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some commands that belong together and are carried out within one limit."""

    name: str
    about: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...]
    images: int | None
    """None where the part measures no photographs."""
    seconds: float | None
    """Expected; None with --quick, where nobody has reckoned it."""
    fixed_seconds: float
    """Of that, what it takes however much was measured before."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits that differ where commands differ."""
        return hashlib.sha256(repr(self.commands).encode()).hexdigest()[:16]

    def needs_seconds(self, spent: float) -> float:
        """What must be left for the part to be begun, or gone on with after `spent` seconds that are not lost."""
        return self.fixed_seconds if self.seconds is None else max(self.seconds - spent, self.fixed_seconds)


@dataclass(frozen=True, slots=True)
class Campaign:
    """All that campaign.toml says, and where it reads and writes."""

    content: Mapping[str, Any]
    inputs: str
    out: str
    quick: bool = False
    most_images: int | None = None
    """As the user limits it; None: as campaign.toml says."""
    answers: Mapping[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        told = {words: tuple(codes) for words, codes in self.content.get("answers", {}).items()}
        object.__setattr__(self, "answers", told)

    @classmethod
    def read(
        cls, path: Path, *, inputs: str, out: str, quick: bool = False, most_images: int | None = None
    ) -> Campaign:
        """The campaign of a file.

        Raises:
            CampaignError: it cannot be read, or is of a newer kind.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CampaignError(f"campaign {path} cannot be read: {error}") from None
        version = content.get("schema_version")
        if version != _NEWEST_SCHEMA:
            raise CampaignError(f"campaign {path} has schema {version}; this script reads {_NEWEST_SCHEMA}")
        return cls(content, inputs, out, quick, most_images)

    @property
    def part_seconds(self) -> float:
        """After so long a part is interrupted."""
        return float(self.content["limits"]["part_seconds"])

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts in the order of the file, which is that of what matters most."""
        entries = ((entry, chosen) for entry in self.content["part"] for chosen in _combinations(entry.get("each", {})))
        return tuple(self._part(entry, chosen) for entry, chosen in entries)

    def chosen(self, names: list[str]) -> tuple[Part, ...]:
        """The parts of these names, in the order of the campaign; a name may end in ``*``, and ``all`` is all.

        Raises:
            CampaignError: there is no such part.
        """
        everything = {part.name: part for part in self.parts}
        wanted: set[str] = set()
        for name in names:
            stem = "" if name == "all" else name.removesuffix("*")
            prefix = name == "all" or name.endswith("*")
            matching = {one for one in everything if (one.startswith(stem) if prefix else one == name)}
            if not matching:
                raise CampaignError(f"no part {name!r}; there are {', '.join(everything)}, and all")
            wanted |= matching
        return tuple(part for name, part in everything.items() if name in wanted)

    def accepted(self, command: tuple[str, ...]) -> tuple[int, ...]:
        """Exit codes with which a command has done its work."""
        return self.answers.get(" ".join(command[:2]), (0,))

    def images(self, backbone: str, precision: str, times: float, most: int) -> int:
        """How many photographs a part takes, `most` at most; the formula stands at the top of this file."""
        if self.quick:
            return _QUICK_IMAGES
        limits = self.content["limits"]
        calls = limits["measuring_seconds"] / self.call_seconds(backbone, precision) / times
        fitting = int((calls - limits["calls_before"]) / limits["calls_per_image"])
        most = most if self.most_images is None else min(most, self.most_images)
        return max(min(fitting, most), min(_LEAST_IMAGES, most))

    def call_seconds(self, backbone: str, precision: str) -> float:
        """What one photograph takes with all methods, at the assumed rate."""
        per_second = self.content["tera_flops_per_second"][precision]
        return float(self.content["tera_flop_per_image"][backbone] / per_second)

    def _part(self, entry: Mapping[str, Any], chosen: Mapping[str, str]) -> Part:
        limits, images = self.content["limits"], None
        if "backbone" in chosen:
            most = entry.get("images", limits["images"])
            images = self.images(chosen["backbone"], chosen["precision"], _times(entry), most)
        instead = self.content["quick"].get("instead", {}) if self.quick else {}
        values = {
            **self.content["values"],
            **(self.content["quick"] if self.quick else {}),
            **{name: instead.get(value, value) for name, value in chosen.items()},
            "inputs": self.inputs,
            "out": self.out,
            "images": str(images),
        }
        # Where a part writes is named after the part, and not after what --quick takes in its place.
        commands = (_named_after(command, chosen) for command in entry["commands"])
        return Part(
            name=_filled(entry["name"], chosen),
            about=entry["about"],
            commands=tuple(tuple(_filled(word, values) for word in _words(command, values)) for command in commands),
            needs=() if self.quick else tuple(entry.get("needs", ())),
            images=images,
            seconds=None if self.quick else self._expected(entry, chosen, images),
            fixed_seconds=float(entry.get("seconds", limits["fixed_seconds"] * _starts(entry))),
        )

    def _expected(self, entry: Mapping[str, Any], chosen: Mapping[str, str], images: int | None) -> float:
        if images is None:
            return float(entry["seconds"])
        limits = self.content["limits"]
        calls = limits["calls_before"] + limits["calls_per_image"] * images
        measuring = _times(entry) * calls * self.call_seconds(chosen["backbone"], chosen["precision"])
        return float(limits["fixed_seconds"] * _starts(entry) + measuring)


def _times(entry: Mapping[str, Any]) -> float:
    """How often a part goes through its photographs: each of its runs, in each process, and what a sweep adds."""
    return float(entry.get("runs", 1) * entry.get("processes", 1) * entry.get("sweep", 1))


def _starts(entry: Mapping[str, Any]) -> int:
    """Processes: of each run one that plans, and those that measure."""
    return int(entry.get("runs", 1) * (1 + entry.get("processes", 1)))


def _combinations(each: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*each.values()):
        yield dict(zip(each, values, strict=True))


def _named_after(command: str, chosen: Mapping[str, str]) -> str:
    return re.sub(r"(?<=\{out\}/)\S+", lambda found: _filled(found[0], chosen), command)


def _words(command: str, values: Mapping[str, str]) -> list[str]:
    """The words of a command, values that are several options taken apart; folders with blanks stay whole."""
    words = []
    for word in shlex.split(command):
        inner = _PLACEHOLDER.fullmatch(word)
        several = inner is not None and inner[1] in values and inner[1] not in ("inputs", "out")
        words += _words(values[inner[1]], values) if inner and several else [word]
    return words


def _filled(text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise CampaignError(f"campaign.toml: nothing is known of {found[0]}; there are {', '.join(values)}")
        return values[found[1]]

    return _PLACEHOLDER.sub(value, text)
