"""`harness recall`: how good boxes are, before any detector scores them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import options
from harness.cli.exits import one_line_errors
from harness.cli.output import Overwrite, check_free

if TYPE_CHECKING:
    from harness.proposals.question import Question
    from harness.proposals.study import Study

__all__ = ["recall"]

_Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="shapes, voc:DIR or a plug-in's, with the objects to be found. [shapes; none with --pictures]",
        show_default=False,
    ),
]
_Split = Annotated[str, typer.Option("--split", help="Images to look at; several with commas between.")]
_Proposals = Annotated[
    str,
    typer.Option(
        "--proposals",
        help="Boxes to judge: selective-search, selective-search:quality, uniform, a .npz, .json or .mat FILE, a "
        "folder of <image id>_boxes.mat, or a plug-in's.",
    ),
]
_Images = Annotated[int | None, typer.Option("--images", help="First images of each split only.", min=1)]
_Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        help="Other boxes of the same images, named as for --proposals: how near is each to the nearest of the others? "
        "Needs no objects.",
        show_default=False,
    ),
]
_Pictures = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        help="Photograph, or folder of them, on which --against is compared. [the images of the splits]",
        show_default=False,
    ),
]
_Seed = Annotated[int, typer.Option("--seed", help="Of the order of the boxes, and of the draws of images.")]
_Out = Annotated[Path | None, typer.Option("--out", help="JSON file to write as well.", show_default=False)]


def recall(
    dataset: _Dataset = None,
    split: _Split = "test",
    proposals: _Proposals = "selective-search",
    images: _Images = None,
    against: _Against = None,
    pictures: _Pictures = None,
    seed: _Seed = 0,
    out: _Out = None,
    overwrite: Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """How many objects do the first boxes of each image find, and how like other boxes are they?

    Recall at IoU 0.5 and 0.7, average recall and MABO against the number of boxes, with 95 % intervals over images, by
    size and by class of the objects; difficult ones are left out. No detector can find what no box covers.
    """
    with one_line_errors():
        from harness.proposals.question import Question

        check_free(out, overwrite=overwrite, example="recall.json")
        opened = dataset or (None if pictures else "shapes")
        splits = tuple(name.strip() for name in split.split(",") if name.strip())
        study = _measured(Question(opened, splits, proposals, images, seed, pictures, against))
        if out is not None:
            from harness.proposals.study import write

            write(out, study)
    if as_json:
        typer.echo(json.dumps(study.model_dump(mode="json"), indent=1))
        return
    from rich.console import Console

    from harness.rendering.recall import screen

    Console().print(screen(study))
    if out is not None:
        typer.echo(f"With sizes and classes: {out}")


def _measured(question: Question) -> Study:
    from harness.progress import Reporter
    from harness.proposals.question import measure
    from harness.streams import kept_for_results

    with kept_for_results(), Reporter() as reporter:
        return measure(question, command=shlex.join(["harness", *sys.argv[1:]]), hear=reporter.step)
