"""`harness detect`: what a fitted model sees in photographs, for people who want to see something."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness import options
from harness.cli.exits import INTERRUPTED, PARTIAL, end, leave, one_line_errors

if TYPE_CHECKING:
    from harness.detecting import Detecting, Found
    from harness.photographs import Photographs

__all__ = ["detect"]

_FILE = "detections.json"
_MOST = 10
"""Detections shown of a photograph where no score says which are worth it."""

Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGE|FOLDER...",
        help="Photographs, or folders with .jpg, .jpeg or .png files.",
        show_default=False,
    ),
]
Model = Annotated[
    Path, typer.Option("--model", help="Folder that `harness train` or `compare` made.", show_default=False)
]
Method = Annotated[str | None, typer.Option("--method", help="Which of its models. [the only one]", show_default=False)]
Proposals = Annotated[
    str | None,
    typer.Option("--proposals", help="As in `compare`. [as the model was fitted with]", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder for the drawn photographs and detections.json. [results/scratch/detect-DATE-TIME; none with "
        "--json]",
        show_default=False,
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        help="Least score to draw and print; files hold all. [0.5 for probabilities, 0 for SVMs]",
        show_default=False,
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        "--top",
        help="Draw and print so many an image at most. [all; 10 where a method does not say what its scores mean]",
        min=1,
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write over the detections in --out.", show_default=False)]


def detect(
    places: Places,
    model: Model,
    method: Method = None,
    proposals: Proposals = None,
    device: options.Device = None,
    min_score: MinScore = None,
    top: Top = None,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Detect in photographs with a fitted model, and draw what it found.

    Each photograph is drawn into --out under its own name, beside detections.json in COCO results format. Exit code 5:
    a file of a folder could not be read; the others were taken.
    """
    with one_line_errors():
        from harness.detecting import boxes_for, doubts
        from harness.devices import device_for
        from harness.modelcard import ModelCard
        from harness.photographs import Photographs

        card = ModelCard.read(model, method)
        photographs, skipped = Photographs.found(places, card.classes)
        folder = out if out or as_json else Path("results/scratch") / f"detect-{datetime.now():%Y%m%d-%H%M%S}"
        if folder is not None:
            _check_free(folder, photographs, overwrite)
        source, chosen = boxes_for(card, proposals, photographs), device_for(device or "auto")
        for line in (*skipped, *doubts(card, proposals)):
            typer.echo(f"harness: warning: {line}", err=True)
        drawing = None if folder is None else _Folder(folder)
        detecting = _opened(card, photographs, source, chosen)
        limits = _limits(card.method, detecting.score_kind, min_score, top)
        _detect_all(detecting, len(photographs.ids), limits, drawing, as_json)
        if drawing is not None and not as_json:
            typer.echo(f"Drawn photographs and {_FILE}: {folder}")
    end(PARTIAL if skipped else 0)


def _check_free(folder: Path, photographs: Photographs, overwrite: bool) -> None:
    from harness.runs import RunError

    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; --out takes a folder")
    if any(folder.resolve() == file.parent.resolve() for file in photographs.files):
        raise RunError(f"{folder} holds the photographs themselves, which would be written over; choose another --out")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / _FILE).exists():
        raise RunError(f"{folder} is not empty and holds no {_FILE}; choose another --out")
    if not overwrite:
        raise RunError(f"{folder} holds detections; write over them with --overwrite, or choose another --out")


def _limits(method: str, kind: str | None, min_score: float | None, top: int | None) -> tuple[float | None, int | None]:
    """The least score that is shown and how many an image at most; None sets no limit."""
    from harness.detecting import LEAST_SCORES

    if min_score is not None:
        return min_score, top
    if kind not in LEAST_SCORES:
        most = _MOST if top is None else top
        typer.echo(
            f"harness: warning: {method} does not say what its scores mean, so no least score is set; the {most} best "
            "of each photograph are shown, whatever they are worth; --min-score sets one",
            err=True,
        )
        return None, most
    return LEAST_SCORES[kind], top


def _opened(card: Any, photographs: Photographs, source: Any, device: str) -> Detecting:
    from functools import partial

    from harness.detecting import Detecting
    from harness.progress import Reporter
    from harness.streams import kept_for_results

    with kept_for_results(), Reporter() as reporter:
        return Detecting(card, photographs, source, device, partial(reporter.step, "boxes"))


def _detect_all(
    detecting: Detecting,
    count: int,
    limits: tuple[float | None, int | None],
    drawing: _Folder | None,
    as_json: bool,
) -> None:
    """Every photograph in turn, each drawn and printed as soon as it is done."""
    from harness.progress import Reporter

    rows: list[dict[str, Any]] = []
    done = 0
    try:
        with Reporter(quiet=not as_json) as reporter:
            for done, found in enumerate(_each(detecting, count), start=1):
                rows += found.rows
                shown = found.shown(*limits)
                if drawing is not None:
                    drawing.draw(shown)
                if not as_json:
                    typer.echo("\n".join(_lines(shown, len(found.scores))) + "\n")
                reporter.step("detecting", done, count)
    except KeyboardInterrupt:
        kept = f"; {done} of {count} photographs are in {drawing.path}" if drawing is not None and done else ""
        if drawing is not None and done:
            drawing.finish(rows)
        leave(INTERRUPTED, f"interrupted{kept}")
    if drawing is not None:
        drawing.finish(rows)
    if as_json:
        typer.echo(_text(rows), nl=False)


def _each(detecting: Detecting, count: int) -> Iterator[Found]:
    from harness.streams import kept_for_results

    for index in range(count):
        with kept_for_results():
            found = detecting.detect(index)
        yield found


class _Folder:
    """What is written."""

    def __init__(self, path: Path) -> None:
        from harness.runs import RunError

        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be made ({error.strerror}); choose another --out") from None
        self.path = path
        self._seen: dict[str, None] = {}
        """Classes in the order in which they were found: the first few differ in colour, whatever their numbers."""

    def draw(self, found: Found) -> None:
        """Write one photograph with its boxes; as JPEG where it was one."""
        from harness.drawing import colours_of, draw

        self._seen |= dict.fromkeys(found.names)
        colours = colours_of(self._seen)
        labels = [f"{name} {score:.2f}" for name, score in zip(found.names, found.scores, strict=True)]
        picture = draw(found.image, found.boxes, labels, [colours[name] for name in found.names])
        if found.file.suffix.lower() == ".png":
            picture.save(self.path / f"{found.image_id}.png")
        else:
            picture.save(self.path / f"{found.image_id}.jpg", quality=92, subsampling=0)

    def finish(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write all detections."""
        from harness.storage import write_text

        write_text(self.path / _FILE, _text(rows))


def _text(rows: Sequence[dict[str, Any]]) -> str:
    """A row a line, in COCO results format."""
    body = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    return f"[\n{body}\n]\n"


def _lines(shown: Found, count: int) -> list[str]:
    """The name of a photograph and a table of what is shown, in whole pixels."""
    from tabulate import tabulate

    height, width = shown.image.shape[:2]
    told = f"{shown.file.name}, {width} x {height} px: {len(shown.scores)} of {count} detections shown"
    if len(shown.scores) == 0:
        return [told]
    corners = [[round(value) for value in box] for box in shown.boxes.tolist()]
    rows = [[name, score, *box] for name, score, box in zip(shown.names, shown.scores.tolist(), corners, strict=True)]
    headers = ["class", "score", "x1", "y1", "x2", "y2"]
    return [told, *tabulate(rows, headers=headers, floatfmt=".2f", disable_numparse=[0]).splitlines()]
