"""Carries out parts: each command as a process of its own, which is interrupted at the limit as by Ctrl-C.

An interrupted `harness compare` keeps what it measured; the same command later goes on with it. Of other commands
nothing is left: one that the whole limit is too short for has failed, since it would never end. Whatever a command
prints goes to a log file, so that nothing is drawn while it measures.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from campaign import Campaign, Part
from ledger import DONE, FAILED, INTERRUPTED, RUNNING, Ledger

__all__ = ["Execution"]

_LOOK_SECONDS = 0.5
"""Between two looks at a process: rarely, since it may be measuring."""
_GRACE_SECONDS = 20.0
"""After an interruption, for what was measured to be written."""
_TAIL_LINES = 15
_MODULES = {"harness": "harness.cli", "pytest": "pytest"}


@dataclass(frozen=True, slots=True)
class Execution:
    """How parts are carried out, and until when."""

    campaign: Campaign
    root: Path
    out: Path
    ledger: Ledger
    say: Callable[[str], None]
    stop: threading.Event
    """Set from outside, it interrupts what runs and keeps the rest from beginning."""
    ends_at: float
    """By `time.monotonic`; infinite where no end was asked for."""

    def carry_out(self, part: Part) -> str:
        """Do what is left of a part; returns its status, which the ledger holds as well."""
        entry = self.ledger.entry(part)
        if entry["status"] == DONE:
            self.say(f"{part.name}: done before")
            return DONE
        seconds = min(self.campaign.part_seconds, self.ends_at - time.monotonic() - _GRACE_SECONDS)
        needed = min(self.campaign.part_seconds, part.needs_seconds(_kept_seconds(part, entry)))
        if self.stop.is_set():
            self.say(f"{part.name}: not begun, interrupted")
            return INTERRUPTED
        if seconds < needed:
            self.say(
                f"{part.name}: not begun, {max(0, seconds):.0f} s are left of --total and it may take {needed:.0f}"
            )
            return INTERRUPTED
        self.ledger.write(part, {**entry, "status": RUNNING})
        return self._go_on(part, entry, time.monotonic() + seconds)

    def _go_on(self, part: Part, entry: dict[str, Any], deadline: float) -> str:
        done = len(entry["commands"])
        for number, command in enumerate(part.commands[done:], start=done):
            began = time.monotonic()
            self.say(f"{part.name}: {shlex.join(command)}")
            log = self.out / "logs" / f"{part.name}-{number}.log"
            code, interrupted = self._run(self._resumed(command), log, deadline)
            seconds = time.monotonic() - began
            entry["seconds"] += seconds
            if interrupted:
                return self._close(part, entry, *self._cut_short(command, seconds, whole=number == done))
            if code not in self.campaign.accepted(command):
                reason = f"{shlex.join(command[:2])} ended with exit code {code}; see {log}"
                self.say(_tail(log))
                return self._close(part, entry, FAILED, reason)
            entry["commands"].append({"command": shlex.join(command), "exit_code": code, "seconds": seconds})
            self.ledger.write(part, {**entry, "status": RUNNING})
        return self._close(part, entry, DONE, None)

    def _cut_short(self, command: Sequence[str], seconds: float, *, whole: bool) -> tuple[str, str]:
        """Status and reason of a part whose command was interrupted; `whole`: it had all the time that there was."""
        if self.stop.is_set():
            return INTERRUPTED, "interrupted; the same command goes on with it"
        if whole and not _resumable(command):
            return FAILED, (
                f"{command[0]} reached the limit after {seconds:.0f} s and begins anew each time; raise part_seconds "
                "in campaign.toml, or --total, then name the part"
            )
        return INTERRUPTED, f"interrupted after {seconds:.0f} s, at the limit; the same command goes on with it"

    def _close(self, part: Part, entry: dict[str, Any], status: str, reason: str | None) -> str:
        self.ledger.write(part, {**entry, "status": status, "reason": reason})
        self.say(f"{part.name}: {status}{f', {reason}' if reason else ''} ({entry['seconds']:.0f} s)")
        return status

    def _resumed(self, command: Sequence[str]) -> list[str]:
        """The command with ``--resume`` where its run was begun."""
        words = [sys.executable, "-m", _MODULES[command[0]], *command[1:]]
        if "--out" in command:
            folder = self.root / command[command.index("--out") + 1]
            words += ["--resume"] if (folder / "manifest.json").exists() else []
        return words

    def _run(self, words: Sequence[str], log: Path, deadline: float) -> tuple[int, bool]:
        """Exit code, and whether it was interrupted before its end."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            # A session of its own, so that the signal reaches what it started, too, and Ctrl-C reaches only us.
            process = _start(words, self.root, file)
            try:
                while process.poll() is None:
                    if self.stop.wait(_LOOK_SECONDS) or time.monotonic() > deadline:
                        if process.poll() is not None:
                            break
                        return _interrupt(process), True
            finally:
                _kill(process)
        return process.returncode, False


def _resumable(command: Sequence[str]) -> bool:
    return "--out" in command


def _kept_seconds(part: Part, entry: dict[str, Any]) -> float:
    """Of what a part took before, what need not be done again."""
    commands = entry["commands"]
    if _resumable(part.commands[len(commands)]):
        return float(entry["seconds"])
    return float(sum(one["seconds"] for one in commands))


def _start(words: Sequence[str], root: Path, log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def _interrupt(process: subprocess.Popen[bytes]) -> int:
    """As Ctrl-C does, to all that the process started; without mercy where it does not end."""
    for sign, seconds in ((signal.SIGINT, _GRACE_SECONDS), (signal.SIGTERM, 2.0)):
        os.killpg(process.pid, sign)
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
    _kill(process)
    return process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process that has not ended; one that has is left alone."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])
