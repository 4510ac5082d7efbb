"""A preset carried out part by part: what fails costs itself alone, and what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness.reproduce as reproducing
from harness import reproduction
from harness.claims import read_claims
from harness.datasets import DatasetError
from harness.forms.reproduction import Reproduction
from harness.operating_point import operations
from harness.plan import Plan
from harness.presets import Options, PresetError, Size, Training, catalogue, chosen
from harness.progress import Reporter
from harness.quantities.judged import judged
from harness.rendering.reproduction import excerpt, markdown, terminal
from harness.reproduce import reproduce, reproduce_all
from harness.reproduce.fits import measure_fits, schedules
from harness.reproduce.parts import Outcome, Task, carry_out
from harness.storage import StorageError, read_json, read_lines
from harness.traceability import check as check_folder

CLAIMS = read_claims()
REPORTER = Reporter(quiet=True)
CPU = "CPU (Some CPU)"


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Stands in for measuring: every speed part finds every ratio at 1.5 to 2.5 times; returns what was asked for."""
    asked: list[Task] = []

    def measure(task: Task) -> Outcome:
        asked.append(task)
        task.folder.mkdir(parents=True, exist_ok=True)
        found = {"value": 2.0, "low": 1.5, "high": 2.5, "reason": None, "interval": "over 3 processes"}
        speedups = [claim for claim in CLAIMS if claim.quantity.startswith("speedup")]
        ratios = [claim for claim in speedups if claim.relative_to != f"{claim.name}@{claim.backbone}"]
        seen = [judged(claim, {"method": claim.name, "baseline": None, "stages": []}, found) for claim in ratios]
        boxes = task.plan.max_proposals
        data = f"scenes, {boxes} boxes each"
        return Outcome("ok", None, seen, device=CPU, images=task.plan.images, trust="ok", data=data, boxes=boxes)

    monkeypatch.setattr(reproducing, "carry_out", measure)
    return asked


def run(name: str, out: Path, **about: Any) -> dict[str, Any]:
    options = Options(**{"images": 2, **about.pop("options", {})})
    return reproduce(chosen(name)[0], options, out, reporter=REPORTER, command="harness reproduce", **about)


def printed(model: dict[str, Any]) -> str:
    from rich.console import Console

    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(terminal(model))
    return captured.get()


def test_a_table_side_by_side(tmp_path: Path, carried_out: list[Task]) -> None:
    """The speed part runs, the accuracy part says what it lacks, and the table has published, measured and verdict."""
    model = run("spp-table-10", tmp_path / "out")
    assert [task.part.name for task in carried_out] == ["speed-zf5"]
    assert [part["status"] for part in model["parts"]] == ["ok", "not run"]
    assert model["parts"][1]["reason"] == "PASCAL VOC 2007 and weights of zf5 missing"
    assert model["parts"][0]["folder"] == "runs/speed-zf5"
    assert reproduction.read(tmp_path / "out") == model
    assert model["status"] == "complete"
    shown = printed(model)
    assert f"Measured on: {CPU}, untrained, 2 images, scenes, 2000 boxes each" in " ".join(shown.split())
    assert "102×" in shown
    assert "2.00× [1.50, 2.50]" in shown
    assert "not met" in shown
    assert "harness data fetch voc2007" in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert reproduction.exit_code(model) == 1


def test_the_model_keeps_its_form(tmp_path: Path, carried_out: list[Task]) -> None:
    """What is written is what the published schema promises."""
    Reproduction.model_validate(run("spp-table-10", tmp_path / "out"))


def test_the_report_says_the_same(tmp_path: Path, carried_out: list[Task]) -> None:
    """report.md has the table, what was not run and how to run it, and links to each run's own report."""
    model = run("spp-table-9", tmp_path / "out", options={"quick": True})
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert text == markdown(model)
    smoke = "Smoke version: 16 boxes on 2 images; the numbers mean nothing."
    assert f"**{smoke}**" in text
    assert smoke in printed(model)
    assert "[speed-zf5-caffenet](runs/speed-zf5-caffenet/report.md)" in text
    assert "weights of caffenet and zf5: --weights caffenet=FILE and so on" in text
    assert "untrained, 2 images, scenes, 16 boxes each, quick" in text
    assert reproduction.exit_code(model) == 0
    assert "](../runs/t9/runs/speed-zf5-caffenet/report.md)" in markdown(model, runs="../runs/t9/")
    short = excerpt(model)
    shown = [line for line in short.splitlines() if line.startswith("|")]
    assert shown == [line for line in text.splitlines() if line.startswith("|")][: len(shown)]
    assert len(shown) == 2 + 9  # the rows of the paper's table
    assert "## Parts" not in short


def test_a_cell_that_cannot_be_measured_has_its_published_number_alone(tmp_path: Path, carried_out: list[Task]) -> None:
    """R-CNN's pool5 row of Table 9 has no variant of ours: neither verdict nor measured number."""
    model = run("spp-table-9", tmp_path / "out")
    assert not [one for one in model["claims"] if (one["method"], one["variant"]) == ("rcnn", "pool5")]
    ours = [one["reason"] for one in model["claims"] if (one["method"], one["variant"]) == ("spp", "pool5")]
    assert ours == ["untrained"]


def test_where_nothing_can_be_measured_no_table_is_shown(tmp_path: Path, carried_out: list[Task]) -> None:
    """SPP's Table 11 is accuracy alone: without VOC the first line says what it needs, and nothing is decided."""
    model = run("spp-table-11", tmp_path / "out")
    assert carried_out == []
    shown = " ".join(printed(model).split())
    assert shown.startswith("Nothing could be measured here: needs PASCAL VOC 2007, weights of caffenet and zf5 ")
    assert "untrained" not in shown
    assert "--dataset voc:data/VOCdevkit/VOC2007" in shown
    assert reproduction.exit_code(model) == 4
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "59.2 %<br>untrained<br>not comparable" in text
    assert f"{model['published_alone']} published alone" in text
    assert check_folder(tmp_path / "out") == []


def test_a_part_that_cannot_be_run_says_so_in_its_cells(tmp_path: Path, carried_out: list[Task]) -> None:
    """SPP-net's hours of training are not extrapolated: their cell has no dash and no number, but ``not run``."""
    model = run("fast-table-4", tmp_path / "out")
    hours = next(one for one in model["claims"] if (one["method"], one["quantity"]) == ("spp", "train"))
    assert hours["measured"]["reason"] == "not run"
    assert hours["reason"].startswith("not run: each buffer of mini-batches")
    assert "25 h<br>not run<br>not comparable" in markdown(model)
    assert "1×<br>baseline" in markdown(model)


def test_folders_are_not_overwritten(tmp_path: Path, carried_out: list[Task]) -> None:
    """A folder with a reproduction, or with anything else, is refused; so is going on where nothing was begun."""
    out = tmp_path / "out"
    run("spp-table-10", out)
    with pytest.raises(PresetError, match="holds a reproduction; go on with --resume"):
        run("spp-table-10", out)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(PresetError, match="is not empty and holds no reproduction"):
        run("spp-table-10", tmp_path / "other")
    with pytest.raises(PresetError, match="nothing to resume"):
        run("spp-table-10", tmp_path / "new", resume=True)
    assert len(carried_out) == 1


def test_interrupted_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done when it was interrupted stands there, and going on keeps when it was begun."""

    def interrupted(task: Task) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(reproducing, "carry_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("spp-conv-only", tmp_path / "out")
    begun = reproduction.read(tmp_path / "out")
    assert begun["status"] == "interrupted"
    assert "**Interrupted.**" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    resumed: list[bool] = []
    monkeypatch.setattr(reproducing, "carry_out", lambda task: resumed.append(task.resume) or Outcome("ok", None))
    model = run("spp-conv-only", tmp_path / "out", resume=True)
    assert resumed == [True, True]
    assert (model["status"], model["created"]) == ("complete", begun["created"])


def test_a_part_that_fails_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that cannot be carried out is a row with its reason; the next is measured, and the exit code says so."""
    tried: list[str] = []

    def compare(plan: Plan, *_: Any, **__: Any) -> dict[str, Any]:
        tried.append(plan.methods[0])
        raise StorageError("the disk is\nfull")

    monkeypatch.setattr("harness.reproduce.parts.compare", compare)
    model = run("spp-conv-only", tmp_path / "out")
    assert tried == ["rcnn", "rcnn@caffenet"]
    assert [(part["status"], part["reason"]) for part in model["parts"]] == [("error", "the disk is full")] * 2
    assert {one["reason"] for one in model["claims"]} == {"the disk is full"}
    assert reproduction.exit_code(model) == 5


def test_a_bug_in_one_part_costs_that_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw leaves its traceback beside the runs, and the next part is measured."""

    def compare(plan: Plan, *_: Any, **__: Any) -> dict[str, Any]:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("harness.reproduce.parts.compare", compare)
    model = run("spp-conv-only", tmp_path / "out")
    assert [part["reason"] for part in model["parts"]] == ["ZeroDivisionError: of all things"] * 2
    assert "ZeroDivisionError" in (tmp_path / "out" / "runs" / "speed-zf5.error.txt").read_text(encoding="utf-8")


def test_what_two_presets_need_is_measured_once(tmp_path: Path, carried_out: list[Task]) -> None:
    """Of three presets that need two runs, each run is made once, and the later ones point to it."""
    presets = [catalogue().preset(name) for name in ("spp-table-9", "spp-table-10", "spp-conv-only")]
    about: dict[str, Any] = {"reporter": REPORTER, "command": "harness reproduce all"}
    models = reproduce_all(presets, Options(images=2), tmp_path, **about)
    assert [task.part.name for task in carried_out] == ["speed-zf5-caffenet", "speed-zf5"]
    folders = [part["folder"] for part in models[2]["parts"]]
    assert folders == ["../spp-table-10/runs/speed-zf5", "../spp-table-9/runs/speed-zf5-caffenet"]
    assert all((tmp_path / "spp-conv-only" / folder).is_dir() for folder in folders)
    with pytest.raises(PresetError, match="holds a reproduction"):
        reproduce_all(presets, Options(images=2), tmp_path, **about)
    with pytest.raises(PresetError, match="--images: begun with 2, not 3"):
        reproduce_all(presets, Options(images=3), tmp_path, resume=True, **about)
    kept = reproduction.options_of(tmp_path, "all", {})
    again = reproduce_all(presets, kept, tmp_path, resume=True, **about)
    assert [each["claims"] for each in again] == [each["claims"] for each in models]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"dataset": "voc:nowhere"}, DatasetError, "nowhere"),
        ({"dataset": "nonsense"}, DatasetError, "no data set 'nonsense'"),
        ({"weights": {"foo": "a"}}, PresetError, "foo is no network of the papers; there are caffenet, vgg-m, vgg16"),
        ({"weights": {"vgg-m": "/nope"}}, PresetError, "^--weights vgg-m=/nope: no weights file /nope"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    tmp_path: Path, carried_out: list[Task], options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A data set that is not there, or weights of no paper's network, cost one line and leave no folder."""
    with pytest.raises(error, match=words):
        run("spp-table-10", tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()
    assert carried_out == []


def task(name: str, folder: Path, plan: Plan | None = None, **options: Any) -> Task:
    part = next(part for preset in catalogue().presets for part in preset.parts if part.name == name)
    training = catalogue().quick_training
    planned = plan or catalogue().plan(part, Options(**options))
    return Task(part, planned, training, folder, CLAIMS, False, "harness reproduce", None, REPORTER)


def test_pixels_are_counted_on_shapes(tmp_path: Path) -> None:
    """R-CNN convolves 2,000 crops of 224 px, SPP-net an image of 500 x 375 px at one size or five; nothing is timed."""
    found = carry_out(task("count-zf5", tmp_path / "count"))
    assert (found.status, found.device) == ("ok", None)
    counts = read_json(tmp_path / "count" / "counts.json")["methods"]
    crops = 2000 * 224**2
    at_sizes = {"spp": (688,), "spp:5": (480, 576, 688, 864, 1200)}  # shorter sides [papers.md 3c]
    assert counts["rcnn"]["pixels"] == crops
    for name, sides in at_sizes.items():
        assert counts[name]["pixels"] == pytest.approx(sum(side * side * 4 / 3 for side in sides), rel=0.002)
    told = {f"{one['method']}:{one['variant']}".rstrip(":"): one for one in found.judged}
    assert set(told) == set(at_sizes)
    assert {name: one["verdict"] for name, one in told.items()} == dict.fromkeys(at_sizes, "met")
    assert told["spp"]["measured"]["value"] == pytest.approx(crops / counts["spp"]["pixels"])


def test_how_pixels_were_counted_is_told(tmp_path: Path) -> None:
    """Image, boxes, crops and scales stand below the table, and the operations beside, which no verdict is about."""
    model = run("spp-complexity", tmp_path / "out", options={"images": None})
    text = " ".join(printed(model).split())
    assert "for an image of 500x375 px with 2,000 boxes: rcnn convolves 2,000 crops of 224x224 px" in text
    assert "spp:5 convolves it at 640x480, 768x576, 917x688, 1152x864, 1600x1200 px" in text
    conv = {name: of["conv"] for name, of in operations("zf5", ("rcnn", "spp", "spp:5")).items()}
    told = " and ".join(f"{conv['rcnn'] / conv[name]:.3g}× ({name})" for name in ("spp", "spp:5"))
    assert f"not judged: {told} fewer than rcnn's; crops are convolved with less padding" in text
    assert {one["verdict"] for one in model["claims"]} == {"met"}
    assert reproduction.exit_code(model) == 0
    assert check_folder(tmp_path / "out") == []


TINY = Training(
    train_images=5011,
    fits=2,
    sizes=(Size(iterations=1, images=2), Size(iterations=2, images=2), Size(iterations=2, images=3)),
    regions={"rcnn": 128},
)
PLAN = Plan.of(
    {
        **{"methods": "rcnn,fast", "backbone": "mini", "weights": "random", "dataset": "shapes", "fc_width": 8},
        **{"proposals": "uniform", "max_proposals": 24, "images": 1, "device": "cpu"},
    }
)


@pytest.fixture
def fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return lambda: measure_fits(PLAN, TINY, tmp_path / "fits", REPORTER)


def test_fits_are_timed_and_kept(fitted: Callable[[], Any], tmp_path: Path) -> None:
    """Every method is fitted at every size in every repeat, each a line, and none is fitted again when it goes on."""
    (tmp_path / "fits").mkdir()
    found = fitted()
    assert found.failed == {}
    made = {(fit.method, fit.repeat, fit.iterations, fit.images) for fit in found.finished}
    sizes = [(size.iterations, size.images) for size in TINY.sizes]
    assert made == {(method, repeat, *size) for method in PLAN.methods for repeat in (0, 1) for size in sizes}
    assert all(fit.finetune_seconds > 0 and fit.rest_seconds >= 0 for fit in found.finished)
    assert found.about["dataset"]["proposals_per_image"]["mean"] == 24
    assert not list((tmp_path / "fits").glob("work-*"))
    again = fitted()
    assert set(again.finished) == set(found.finished)
    assert len(list(read_lines(tmp_path / "fits" / "fits.jsonl"))) == len(made)


def test_no_image_is_decoded_while_a_fit_is_timed(
    fitted: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photographs would be decoded in every mini-batch: what a fit is given is in memory."""
    from detectors.rcnn import RCNN

    given: list[Any] = []
    monkeypatch.setattr(RCNN, "fit", lambda _self, examples, **_: given.append(examples))
    (tmp_path / "fits").mkdir()
    fitted()
    assert given
    assert all(one is again for examples in given for one, again in zip(examples, examples, strict=True))


def test_a_fit_that_fails_is_a_reason(
    fitted: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that cannot be fitted is left out with its reason; the other is fitted."""
    from detectors.rcnn import RCNN

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no luck")

    (tmp_path / "fits").mkdir()
    monkeypatch.setattr(RCNN, "fit", broken)
    found = fitted()
    assert found.failed == {"rcnn": "error: RuntimeError: no luck"}
    assert {fit.method for fit in found.finished} == {"fast"}


def test_schedules_are_the_papers() -> None:
    """70k mini-batches of R-CNN, 40k of Fast R-CNN, both on VOC07 trainval [papers.md 4a, 5e]."""
    found = schedules(PLAN, catalogue().training)
    assert [(each.iterations, each.images, each.regions) for each in found.values()] == [
        (70_000, 5011, 128),
        (40_000, 5011, None),
    ]


def test_a_number_stands_for_its_own_network_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run on model L fails, what was measured on model S does not stand in L's column."""
    monkeypatch.setattr(reproducing, "carry_out", lambda task: outcomes[task.part.name](task))
    ratios = [claim for claim in CLAIMS if claim.quantity == "speedup_total"]

    def measured(_task: Task) -> Outcome:
        found = {"value": 2.0, "low": 1.5, "high": 2.5, "reason": None, "interval": "over 3 processes"}
        seen = [judged(claim, {"method": claim.name, "baseline": None, "stages": []}, found) for claim in ratios]
        return Outcome("ok", None, seen, device=CPU, images=2)

    outcomes: dict[str, Callable[[Task], Outcome]] = dict.fromkeys(
        (part.name for part in catalogue().preset("fast-table-4").parts), lambda _task: Outcome("error", "no memory")
    )
    outcomes["speed-caffenet"] = measured
    model = run("fast-table-4", tmp_path / "out")
    told = {one["backbone"]: one["run"] for one in model["claims"] if one["quantity"] == "speedup_total"}
    assert told == {"CaffeNet": "speed-caffenet", "VGG_CNN_M_1024": None, "VGG16": None}
    reasons = {one["reason"] for one in model["claims"] if one["backbone"] == "VGG16" and one["quantity"] == "total"}
    assert reasons == {"no memory"}
