"""A run on disk: what was planned, what ran it, and each measurement as it was made.

    manifest.json               plan, machine, software, source, sha256 of weights, boxes and splits, status
    truth.json                  ground truth of the test images, COCO format with ``ignore`` for difficult objects
    samples.jsonl               one line a sample, flushed to the disk as measured
    conditions.jsonl            one line for each moment between two blocks of images: sentinel, load, device
    detections/METHOD.json      COCO results format; METHOD.jsonl, a line an image, while the run goes on
    models/METHOD.safetensors   the fitted model that was measured, and METHOD.json with the seconds of its fit and all
                                that must be known to detect with it, see `harness.modelcard`
    errors/METHOD.txt           tracebacks of a method that failed
    work/METHOD/                scratch files and checkpoints of a fit that is not finished
    flops.json                  operations, bytes and launches of each method on each image, by stage
    summary.json report.md figures/   derived from the above by `harness report`

Everything that a kill must not tear is written beside and renamed, or is a log of lines of which only the last can be
torn.

In a run that is to be committed, see `harness.adopt`, samples, conditions, counts, detections and truth are packed:
``samples.jsonl.gz`` instead of ``samples.jsonl``. Such a run is read like any other, and does not go on.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar
from urllib.parse import quote

from harness.record import SCHEMA_VERSION, Condition, Sample
from harness.storage import (
    PACKED,
    UNFINISHED,
    StorageError,
    append_line,
    read_json,
    read_lines,
    stored_as,
    write_json,
    write_text,
)

__all__ = ["TRAINING", "RunError", "RunFolder"]

Row = TypeVar("Row")

TRAINING = "training"
"""``kind`` in the manifest of a folder that holds models and no measurements; other manifests have none."""
_OTHER_KIND = {
    False: "holds models that `harness train` fitted and no measurements; measure them with `harness compare --models`",
    True: "holds a comparison, which `harness train` does not go on with; choose another --out",
}
_LOCK = f"{UNFINISHED}lock"
_FINISHED = ("complete", "partial")
"""``status`` of a run that came to its end."""


class RunError(StorageError):
    """A run folder cannot be made or read as asked; the message is one line."""


class RunFolder:
    """Reads and writes the files of one run."""

    def __init__(self, path: Path) -> None:
        """Nothing is touched yet."""
        self.path = path
        self._places: dict[str, tuple[dict[str, int], int]] = {}
        """By method: where in its log each image begins, and how far the log was read."""
        self._finished: dict[str, dict[str, list[dict[str, Any]]]] = {}

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "manifest.json").exists()

    @property
    def packed(self) -> list[Path]:
        """The files of the run that are packed, in the order of their names."""
        return sorted([*self.path.glob(f"*{PACKED}"), *self.path.glob(f"detections/*{PACKED}")])

    def check_free(self, *, resume: bool, overwrite: bool) -> None:
        """See that a run may be written here.

        Raises:
            RunError: it may not; the folder is untouched.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; --out takes a folder")
        if resume:
            if not self.exists:
                raise RunError(f"nothing to resume in {self.path}: it holds no manifest.json")
            if self.packed:
                cause = f"it was packed to be kept ({self.packed[0].name})"
                raise RunError(f"{self.path} cannot go on: {cause}; resume the run that it was made of")
        elif self._entries():
            if not self.exists:
                raise RunError(f"{self.path} is not empty and holds no run; choose another --out")
            if not overwrite:
                raise RunError(f"{self.path} holds a run; go on with --resume, replace it with --overwrite")
        if (self.path / _LOCK).exists():
            with (self.path / _LOCK).open("a") as file:
                _lock(file, self.path)
        above = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        try:
            # Permission bits say too little: root has none to respect, and a disk may be mounted read-only.
            with tempfile.TemporaryFile(dir=above):
                pass
        except OSError as error:
            raise RunError(f"{above} is not writable ({error.strerror}); choose another --out") from None

    def check_still(self, before: dict[str, Any] | None, *, overwrite: bool) -> None:
        """Once the folder is held, see that no other process has written a run here since `check_free`.

        `before` is the manifest that was read then, None where a run is to begin.

        Raises:
            RunError: one has; the folder is untouched.
        """
        there = read_json(self.path / "manifest.json") if self.exists else None
        if there != before and not (before is None and overwrite):
            raise RunError(f"another process has written to {self.path} in the meantime; choose another --out")

    def _entries(self) -> list[Path]:
        if not self.path.is_dir():
            return []
        return [entry for entry in self.path.iterdir() if not entry.name.startswith(UNFINISHED)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from writing here inside the block; the lock ends with its process, however that ends.

        Raises:
            RunError: another process is writing here, or nobody can.
        """
        lock = self.path / _LOCK
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = lock.open("a")
        except OSError as error:
            cause = f"{error.strerror}, and a run is locked while it is written or copied"
            raise RunError(f"{self.path} is not writable ({cause}); make it so, or copy it elsewhere") from None
        with file:
            _lock(file, self.path)
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    def start(self, manifest: dict[str, Any]) -> None:
        """Begin a run in an empty or replaced folder.

        The manifest is there from first to last, the old one or the new one: a kill in between leaves a run that can be
        resumed or overwritten.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for entry in self._entries():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != "manifest.json":
                entry.unlink()
        self.write_manifest(manifest)

    def read_manifest(self, *, training: bool = False) -> dict[str, Any]:
        """The manifest of a comparison; with `training`, of a folder that `harness train` made.

        Raises:
            RunError: there is none, it is of the other kind, or a newer version of this program wrote it.
        """
        if not self.exists:
            raise RunError(f"{self.path} holds no run: there is no manifest.json in it")
        manifest: dict[str, Any] = read_json(self.path / "manifest.json")
        version = manifest.get("schema_version") if isinstance(manifest, dict) else None
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise RunError(f"{self.path} has schema {version}; this version of harness reads up to {SCHEMA_VERSION}")
        if (manifest.get("kind") == TRAINING) != training:
            raise RunError(f"{self.path} {_OTHER_KIND[training]}")
        return manifest

    def read_finished(self) -> dict[str, Any]:
        """The manifest of a comparison that came to its end, whether or not every method did.

        Raises:
            RunError: as `read_manifest`, or it goes on or was interrupted.
        """
        manifest = self.read_manifest()
        if (status := manifest.get("status")) not in _FINISHED:
            raise RunError(f"{self.path} is not finished (status {status}); go on with: harness compare --resume")
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace the manifest."""
        write_json(self.path / "manifest.json", manifest)

    def write_truth(self, truth: dict[str, Any]) -> None:
        """Replace the ground truth."""
        write_json(self.path / "truth.json", truth)

    def read_truth(self) -> dict[str, Any]:
        """Ground truth of the test images, COCO format."""
        truth: dict[str, Any] = read_json(self.path / "truth.json")
        return truth

    def append_sample(self, sample: Sample) -> None:
        """Keep a sample; it is on the disk when this returns."""
        append_line(self.path / "samples.jsonl", sample.as_line())

    def read_samples(self) -> list[Sample]:
        """All samples, in the order in which they were measured; of one that was measured again, the later.

        Raises:
            RunError: a line that is not the last is torn, or a line is no sample.
        """
        latest: dict[Any, Sample] = {}
        for sample in self._rows("samples.jsonl", Sample.from_values, "a sample"):
            latest.pop(sample.key, None)  # so that it stands where it was measured last
            latest[sample.key] = sample
        return list(latest.values())

    def append_condition(self, condition: Condition) -> None:
        """Keep a condition; it is on the disk when this returns."""
        append_line(self.path / "conditions.jsonl", condition.as_line())

    def read_conditions(self) -> list[Condition]:
        """All conditions, in the order in which they were taken; none of a run of schema 1.

        Raises:
            RunError: as `read_samples`.
        """
        return self._rows("conditions.jsonl", Condition.from_values, "a condition")

    def _rows(self, name: str, parse: Callable[[dict[str, Any]], Row], what: str) -> list[Row]:
        path = self.path / name
        rows = []
        for number, values in enumerate(read_lines(path), start=1):
            try:
                rows.append(parse(values))
            except TypeError as error:
                raise RunError(f"{path}, line {number}: not {what} ({error})") from None
        return rows

    def detections_path(self, method: str) -> Path:
        """Where the detections of a method stand when it is finished; before, in a log beside it, ``.jsonl``."""
        return self.path / "detections" / f"{_file_name(method)}.json"

    def append_detections(self, method: str, image_id: str, rows: list[dict[str, Any]]) -> None:
        """Keep the detections of one image."""
        line = json.dumps({"image_id": image_id, "rows": rows}, separators=(",", ":"), allow_nan=False)
        append_line(self.detections_path(method).with_suffix(".jsonl"), line)

    def read_detections(self, method: str) -> list[dict[str, Any]]:
        """Detections of a method in COCO results format; of an image that was logged twice, the later.

        Images stand in the order of the truth, in whatever order they were gone through: it decides between equal
        scores.

        Raises:
            RunError: there are samples of the method and no file of its detections.
        """
        found = self._detections(method)
        if not found and not self._kept_detections(method) and self._measured(method):
            path = self.detections_path(method)
            raise RunError(f"{path} is missing, though {method} was measured; bring it back, or measure anew")
        if stored_as(self.path / "truth.json") is not None:
            known = [image["id"] for image in self.read_truth()["images"] if image["id"] in found]
            found = {image: found[image] for image in dict.fromkeys([*known, *found])}
        return [row for rows in found.values() for row in rows]

    def _detections(self, method: str) -> dict[str, list[dict[str, Any]]]:
        """By image: of the finished file, and of what was logged since."""
        finished = self.detections_path(method)
        log = finished.with_suffix(".jsonl")
        found: dict[str, list[dict[str, Any]]] = {}
        for row in () if stored_as(finished) is None else read_json(finished):
            found.setdefault(row["image_id"], []).append(row)
        found |= {line["image_id"]: line["rows"] for line in read_lines(log)}
        return found

    def _kept_detections(self, method: str) -> bool:
        finished = self.detections_path(method)
        return stored_as(finished) is not None or finished.with_suffix(".jsonl").exists()

    def _measured(self, method: str) -> bool:
        return any(sample.method == method and sample.status == "ok" for sample in self.read_samples())

    def first_detections(self, method: str, image_id: str) -> list[dict[str, Any]]:
        """The rows that stand for one image, without reading all others each time; none where nothing stands there."""
        log = self.detections_path(method).with_suffix(".jsonl")
        if not log.exists():
            if method not in self._finished:
                self._finished[method] = self._detections(method)
            return self._finished[method].get(image_id, [])
        places, end = self._places.get(method, ({}, 0))
        with log.open("rb") as file:
            file.seek(end)
            for line in file:
                if line.endswith(b"\n"):
                    places[json.loads(line)["image_id"]] = end
                    end += len(line)
            self._places[method] = places, end
            if image_id not in places:
                return []
            file.seek(places[image_id])
            rows: list[dict[str, Any]] = json.loads(file.readline())["rows"]
            return rows

    def finish_detections(self, method: str) -> None:
        """Turn the log of a method into its COCO results file."""
        path = self.detections_path(method)
        rows = self.read_detections(method)
        body = ",\n".join(json.dumps(row, separators=(",", ":"), allow_nan=False) for row in rows)
        write_text(path, f"[\n{body}\n]\n")
        path.with_suffix(".jsonl").unlink(missing_ok=True)

    def append_error(self, method: str, text: str) -> Path:
        """Keep the traceback of a failure; returns the file."""
        path = self.path / "errors" / f"{_file_name(method)}.txt"
        append_line(path, text.rstrip("\n"))
        return path

    def workdir(self, method: str, *, make: bool = True) -> Path:
        """A folder for the scratch files and checkpoints of one fit; what an earlier, unfinished one left is there.

        Without `make` only where it would be.
        """
        path = self.path / "work" / _file_name(method)
        if make:
            path.mkdir(parents=True, exist_ok=True)
        return path

    def drop_workdir(self, method: str) -> None:
        """Remove that folder, since the fit is finished."""
        path = self.path / "work" / _file_name(method)
        shutil.rmtree(path, ignore_errors=True)
        if path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def model_path(self, method: str) -> Path:
        """Where the fitted model of a method stands."""
        return self.path / "models" / f"{_file_name(method)}.safetensors"

    def write_fit(self, method: str, seconds: dict[str, float], card: Mapping[str, Any] | None = None) -> None:
        """Say that the model of a method is whole, and how long its fit took; no `seconds` where that is not known.

        `card` is what else is known of it.
        """
        write_json(self.model_path(method).with_suffix(".json"), {**(card or {}), "fit_seconds": seconds})

    def read_fit(self, method: str) -> dict[str, float] | None:
        """Seconds of a method's fit, none where they are not known; None where it was not finished."""
        path = self.model_path(method).with_suffix(".json")
        if not path.exists():
            return None
        seconds: dict[str, float] = read_json(path)["fit_seconds"]
        return seconds

    def write_flops(self, flops: dict[str, Any]) -> None:
        """Replace what was counted: ``{method: {"reason", "images": {image: {stage: n}}, "bytes", "launches"}}``.

        Under ``images`` stand floating-point operations; ``bytes`` and ``launches`` are like it.
        """
        write_json(self.path / "flops.json", {"schema_version": SCHEMA_VERSION, "methods": flops})

    def read_flops(self) -> dict[str, Any]:
        """What `write_flops` wrote; empty where nothing was counted."""
        path = self.path / "flops.json"
        return {} if stored_as(path) is None else dict(read_json(path)["methods"])

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Replace the summary."""
        write_json(self.path / "summary.json", summary)

    def read_summary(self) -> dict[str, Any]:
        """The summary.

        Raises:
            RunError: there is none yet.
        """
        summary: dict[str, Any] = read_json(self.path / "summary.json")
        return summary


def _lock(file: TextIO, run: Path) -> None:
    """Lock an open file until it is closed. Windows has no such lock, and two processes are not kept apart there."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RunError(f"{run} is being written by another process; wait for it, or choose another --out") from None


def _file_name(method: str) -> str:
    """A method's name as a file name: ``spp:5@zf5`` becomes ``spp-5@zf5``. No two names become the same."""
    return quote(method, safe="+:@").replace("-", "%2D").replace(":", "-")
