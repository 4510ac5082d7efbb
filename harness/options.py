"""The options of the commands, as the command line takes them. Values are checked by what they configure, not here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _planned(flag: str, text: str) -> Any:
    # Numbers come as text, so that an option and a TOML plan are refused in the same words.
    return typer.Option(flag, help=text, metavar="TEXT", show_default=False)


def _other(flag: str, text: str) -> Any:
    return typer.Option(flag, help=text, show_default=False)


Text = str | None

Methods = Annotated[
    Text,
    _planned(
        "--methods",
        "Names with commas between; the first is the baseline. Variants as in spp:5:pool5, combinations as in "
        "spp+rcnn, rcnn@caffenet on another network than --backbone's; `harness methods` lists all. [rcnn,spp,fast]",
    ),
]
DatasetName = Annotated[
    Text,
    _planned(
        "--dataset",
        "shapes, shapes:500x375 for scenes of one size, voc:DIR for a VOCdevkit year folder, or a plug-in's. [shapes]",
    ),
]
TrainSplit = Annotated[Text, _planned("--train-split", "Images to learn from. [train]")]
Split = Annotated[Text, _planned("--split", "Images to detect in. [test]")]
Backbone = Annotated[
    Text,
    _planned(
        "--backbone",
        "mini, squeezenet1_0, squeezenet1_1, alexnet, caffenet, zf5, vgg-m or vgg16. [mini]",
    ),
]
Weights = Annotated[
    Text,
    _planned(
        "--weights",
        "auto, torchvision, a .safetensors or .caffemodel FILE, or random: speed alone, nothing is trained unless "
        "--iterations says so. A FILE is for --backbone alone. [auto]",
    ),
]
Proposals = Annotated[
    Text,
    _planned(
        "--proposals",
        "selective-search, uniform (random boxes, exactly --max-proposals an image, for timing alone), a .npz, .json "
        "or .mat FILE, or a plug-in's. [selective-search]",
    ),
]
MaxProposals = Annotated[Text, _planned("--max-proposals", "Boxes an image at most. [2000]")]
Images = Annotated[Text, _planned("--images", "First images of the test split only. [all; 120 of shapes]")]
TrainImages = Annotated[Text, _planned("--train-images", "First images of the train split only. [all; 300 of shapes]")]
Iterations = Annotated[
    Text,
    _planned(
        "--iterations",
        "Mini-batches of fine-tuning: a number, 0 to train nothing, paper for each paper's own, or quick: rcnn 1, "
        "spp 2, fast 4 for each training image, as if there were at least 100. [quick; 0 with random weights]",
    ),
]
FcWidth = Annotated[Text, _planned("--fc-width", "Width of fc6 and fc7. [the backbone's own; 1024 where it has none]")]
Models = Annotated[
    Text,
    _planned(
        "--models",
        "Run folder of `harness train`, or of an earlier comparison, whose models take the place of fits. What those "
        "were fitted with, the network and the training images among it, is taken from there. [none: all is fitted]",
    ),
]
Repeats = Annotated[Text, _planned("--repeats", "Times that every image is gone through. [1]")]
Processes = Annotated[
    Text,
    _planned(
        "--processes",
        "Fresh processes in which all is measured, one after another, each with the one fitted model of a method; from "
        "3 on, intervals are over them. [1]",
    ),
]
Block = Annotated[
    Text,
    _planned("--block", "Images that a method runs on before the next takes its turn. [1 to 8, by their number]"),
]
SweepText = Annotated[
    Text,
    _planned(
        "--sweep",
        "Afterwards, time the methods on changed inputs: proposals=100,300,1000 or megapixels=0.1,0.5. [none]",
    ),
]
PolicyName = Annotated[
    Text, _planned("--policy", "From scored boxes to detections: shared, or paper for each paper's own. [shared]")
]
Device = Annotated[Text, _planned("--device", "auto, cpu or cuda. [auto]")]
Precision = Annotated[
    Text,
    _planned("--precision", "Arithmetic of detecting: fp32, strictly; tf32, on a GPU; or bf16. [fp32]"),
]
Seed = Annotated[Text, _planned("--seed", "Of all random draws. [0]")]

PlanFile = Annotated[Path | None, _other("--plan", "TOML file with any of the above; options given here win.")]
Out = Annotated[Path | None, _other("--out", "Run folder. [results/scratch/DATE-TIME]")]
Resume = Annotated[bool, _other("--resume", "Go on with the run in --out.")]
Overwrite = Annotated[bool, _other("--overwrite", "Replace the run in --out.")]
RequireGpu = Annotated[bool, _other("--require-gpu", "Refuse to run without a GPU (exit code 3).")]
AsJson = Annotated[bool, _other("--json", "Print JSON, and nothing else, on standard output.")]

PhotographsName = Annotated[
    Text, _planned("--dataset", "voc:DIR, or another data set. [drawn scenes of VOC's size; for time alone]")
]
NetworkWeights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        help="For accuracy, of each network: zf5=FILE, vgg16=torchvision; as often as needed. [none: untrained]",
        metavar="BACKBONE=FILE",
        show_default=False,
    ),
]
AccuracyProposals = Annotated[
    Text, _planned("--proposals", "Boxes where accuracy is measured, such as the authors'. [selective-search]")
]
PresetImages = Annotated[
    Text, _planned("--images", "First images of the test split only. [100 for time; all 4,952 for accuracy]")
]
Quick = Annotated[bool, _other("--quick", "A smoke version: few boxes on two images. It decides nothing.")]
ReproductionOut = Annotated[Path | None, _other("--out", "Folder of its own. [results/scratch/NAME-DATE-TIME]")]

BaselineFile = Annotated[
    Path, _other("--baseline", "JSON file with an entry for each device; made by the first run on a device.")
]
UpdateBaseline = Annotated[
    bool, _other("--update-baseline", "Judge RUN, then put it in the place of its device's entry.")
]
RequireBaseline = Annotated[
    bool, _other("--require-baseline", "Make no entry: without one for this device, RUN is inconclusive (exit code 4).")
]
Tolerance = Annotated[float, typer.Option("--tolerance", help="Share of a speed-up that may be lost.")]
MapTolerance = Annotated[
    float, typer.Option("--map-tolerance", help="What mAP may lose, as a fraction: 0.01 is a point.")
]

Check = Annotated[
    bool,
    _other(
        "--check",
        "Write nothing; say what in the folder does not follow from its samples, a line each (exit code 1 if any).",
    ),
]
AsMarkdown = Annotated[
    bool,
    _other(
        "--markdown", "Print Markdown on standard output, short enough for GitHub's job summary, and write nothing."
    ),
]
