"""Scoreboards: numbers against a literal bootstrap, which runs and methods are compared, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

import detectors
from bounded import ends
from detectors.parts.head import fc_widths
from harness import accuracy
from harness.accuracy import DetectionTable, Metric
from harness.coco import detection_table, truth_table
from harness.contenders import _OWN_WIDTHS, read_run
from harness.relating import Judged
from harness.runs import RunError, RunFolder
from harness.scoreboard import Board, Entry, Scoreboard, ScoreboardError, score_runs
from harness.scoreboards import of_folders, read
from harness.storage import StorageError, pack
from scored import CLASSES, detected, ids, objects, plant

METRICS: tuple[Metric, ...] = ("voc07", "voc10")
SKILLS = {"spp": 0.7, "spp:ftfc7": 0.6}
DRAWS = 1000
BOXES = "selective-search, at most"


def scored(*paths: Path, **options: Any) -> Scoreboard:
    """Each run is called by the name of its folder."""
    return score_runs([read_run(path, path.name) for path in paths], title="T", **options)


def entry(board: Board, key: str) -> Entry:
    (found,) = (one for one in board.entries if one.key == key)
    return found


def keys(board: Board) -> list[str]:
    return [one.key for one in board.entries]


def judged(board: Board, relation: str) -> Judged:
    (found,) = (one for one in board.judged if one.relation == relation)
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """SPP-net in one run, Fast R-CNN in another, on the same 30 images."""
    root = tmp_path_factory.mktemp("two")
    first = plant(root / "first", SKILLS, images=ids(30))
    return first, plant(root / "second", {"fast": 0.8, "fast:svd": 0.75}, images=ids(30))


# Numbers


def literal(rows: Mapping[str, list[dict[str, Any]]], count: int) -> dict[str, dict[Metric, list[float]]]:
    """By method and metric, mAP of all images and then of each draw, each averaged by itself."""
    truth = objects(ids(count))
    rng = np.random.default_rng(0)
    draws = [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(DRAWS)]
    found: dict[str, dict[Metric, list[float]]] = {}
    for method, of in rows.items():
        matches = accuracy.match(detection_table(of, ids(count)), truth_table(truth), n_classes=len(CLASSES))
        found[method] = {metric: [] for metric in METRICS}
        for counts in [np.ones(count, dtype=np.int64), *draws]:
            for metric in METRICS:
                each = [accuracy.average_precision(one, metric, image_counts=counts) for one in matches]
                known = [ap for ap in each if ap is not None]
                found[method][metric].append(sum(known) / len(known))
    return found


def interval(values: list[float], count: int) -> tuple[float, float, float]:
    """The value, and the quantiles of the draws that Student's t asks for, put around it."""
    value, *drawn = values
    with_objects = len({row["image_id"] for row in objects(ids(count))["annotations"] if not row["ignore"]})
    out = stats.norm.cdf(-stats.t.ppf(0.975, with_objects - 1) * np.sqrt(with_objects / (with_objects - 1)))
    low, high = np.quantile(drawn, [out, 1 - out]) - np.mean(drawn) + value
    return value, max(low, min(drawn)), min(high, max(drawn))


def test_every_number_is_that_of_a_literal_bootstrap(tmp_path: Path) -> None:
    """mAP, difference to the baseline, and the difference of a relation whose methods are of two runs."""
    count = 12
    skills = {"spp": 0.7, "fast": 0.8, "fast:svd": 0.6}
    runs = [
        plant(tmp_path / str(at), {name: skill}, images=ids(count)) for at, (name, skill) in enumerate(skills.items())
    ]
    (board,) = scored(*runs).boards
    rows = {name: detected(objects(ids(count)), name, skill) for name, skill in skills.items()}
    expected = literal(rows, count)
    for metric in METRICS:
        of = {name: np.array(expected[name][metric]) for name in skills}
        for name in skills:
            assert ends(entry(board, name).map[metric]) == pytest.approx(interval(list(of[name]), count), abs=1e-9)
        pairs = {
            "fast": (entry(board, "fast").difference, of["fast"] - of["spp"]),
            "fast:svd": (entry(board, "fast:svd").difference, of["fast:svd"] - of["spp"]),
            "svd": (judged(board, "svd").difference, of["fast:svd"] - of["fast"]),
            "fast-over-spp": (judged(board, "fast-over-spp").difference, of["fast"] - of["spp"]),
        }
        for measured, values in pairs.values():
            assert ends(measured[metric]) == pytest.approx(interval(list(values), count), abs=1e-9)
    points = 100 * (np.array(expected["fast"]["voc07"]) - np.array(expected["spp"]["voc07"]))
    _, low, high = interval(list(points), count)
    assert judged(board, "fast-over-spp").half_width_points == pytest.approx((high - low) / 2)


def test_methods_that_are_not_asked_for_have_no_row(two: tuple[Path, Path]) -> None:
    """The others keep every number that they have among all; relations between two that stay are judged."""
    (every,) = scored(*two).boards
    (some,) = of_folders(two, methods=["spp", "fast"], baseline="spp").boards
    assert [one.method for one in some.entries] == ["spp", "fast"]
    for one in some.entries:
        assert one == entry(every, one.key)
    assert [one.relation for one in some.judged] == ["fast-over-spp"]
    assert judged(some, "fast-over-spp") == judged(every, "fast-over-spp")
    with pytest.raises(ScoreboardError, match="no run has a score of 'rcnn'"):
        of_folders(two, methods=["rcnn"])
    with pytest.raises(ScoreboardError, match="no run has a score of 'spp:ftfc7'; there are spp, fast"):
        of_folders(two, methods=["spp", "fast"], baseline="spp:ftfc7")
    (without_its_run,) = of_folders(two, methods=["fast"]).boards
    assert [one.method for one in without_its_run.entries] == ["fast"]


def test_average_precisions_are_those_of_the_evaluator(two: tuple[Path, Path]) -> None:
    """By class, as `harness evaluate` has them of the same file."""
    (board,) = scored(*two).boards
    rows = json.loads((two[1] / "detections/fast.json").read_text())
    truth = truth_table(objects(ids(30)))
    found = accuracy.evaluate(detection_table(rows, ids(30)), truth, n_classes=len(CLASSES))
    assert entry(board, "fast").ap == dict(zip(CLASSES, found.ap, strict=True))
    assert entry(board, "fast").map["voc07"].value == pytest.approx(found.map)


def test_share_found_counts_objects_that_a_detection_matches(two: tuple[Path, Path]) -> None:
    """One by one, with areas computed by hand; difficult objects count neither way."""
    rows = json.loads((two[1] / "detections/fast.json").read_text())
    annotations = objects(ids(30))["annotations"]
    found = set()
    for row in rows:
        rivals = [
            one for one in annotations if (one["image_id"], one["category_id"]) == (row["image_id"], row["category_id"])
        ]
        best = max(rivals, key=lambda one: overlap(row["bbox"], one["bbox"]), default=None)
        if best is not None and overlap(row["bbox"], best["bbox"]) >= 0.5 and not best["ignore"]:
            found.add(best["id"])
    countable = [one for one in annotations if not one["ignore"]]
    (board,) = scored(*two).boards
    assert entry(board, "fast").found == pytest.approx(len(found) / len(countable))
    assert 0 < len(found) < len(countable)


def overlap(a: list[float], b: list[float]) -> float:
    """IoU of two boxes given as x, y, width, height."""
    width = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


# Which images, which methods


def test_a_run_on_some_images_brings_a_board_of_its_own(tmp_path: Path, two: tuple[Path, Path]) -> None:
    """There every method has exactly the numbers of a run on those images alone."""
    some = [image for image in ids(30) if int(image) % 2]
    part = plant(tmp_path / "part", {"rcnn": 0.7}, images=some)
    board = scored(*two, part)
    assert [(each.images, each.runs) for each in board.boards] == [(30, ("first", "second")), (15, ("part",))]
    assert "rcnn" not in keys(board.boards[0])
    (alone,) = scored(plant(tmp_path / "alone", SKILLS | {"fast": 0.8}, images=some), baseline="spp").boards
    for name in (*SKILLS, "fast"):
        common = entry(board.boards[1], name)
        assert (common.map, common.ap, common.found) == (
            entry(alone, name).map,
            entry(alone, name).ap,
            entry(alone, name).found,
        )
    assert judged(board.boards[1], "bb").difference == judged(alone, "bb").difference


def test_neither_the_order_of_runs_nor_that_of_their_images_matters(tmp_path: Path, two: tuple[Path, Path]) -> None:
    """Images are known by their names; draws are of those of the first run, so only intervals may move a little."""
    shuffled = [str(each) for each in np.random.default_rng(3).permutation(ids(30))]
    turned = plant(tmp_path / "second", {"fast": 0.8, "fast:svd": 0.75}, images=shuffled)
    (board,), (other,) = scored(*two).boards, scored(two[0], turned).boards
    assert [asdict(one) for one in board.entries] == [asdict(one) for one in other.entries]
    (backwards,) = scored(two[1], two[0], baseline="spp").boards
    assert keys(backwards) == keys(board)
    assert backwards.entries == board.entries


def test_rows_stand_in_the_order_of_the_papers_or_as_asked(two: tuple[Path, Path]) -> None:
    """SPP Table 9 begins with what is below box regression; what an order does not name comes after."""
    assert keys(scored(*two).boards[0]) == ["spp:ftfc7", "spp", "fast:svd", "fast"]
    assert keys(scored(*two, order=["fast", "spp"]).boards[0]) == ["fast", "spp", "spp:ftfc7", "fast:svd"]


def test_differences_are_to_the_first_method_unless_another_is_named(two: tuple[Path, Path]) -> None:
    """The baseline has none; turned round they are the negative."""
    (board,), (other,) = scored(*two).boards, scored(*two, baseline="fast").boards
    assert (board.baseline, other.baseline) == ("spp", "fast")
    assert entry(board, "spp").difference == {} == entry(other, "fast").difference
    value, low, high = ends(entry(board, "fast").difference["voc07"])
    assert ends(entry(other, "spp").difference["voc07"]) == pytest.approx((-value, -high, -low))


def test_one_method_twice_is_told_apart_by_what_differs(tmp_path: Path) -> None:
    """By training images; and by the run where all that is known is alike."""
    paths = [
        plant(tmp_path / name, {"spp": skill}, images=ids(20), dataset=dataset)
        for name, skill, dataset in (
            ("small", 0.5, {"train_images": 100, "train_sha256": "1"}),
            ("large", 0.8, {"train_images": 1000, "train_sha256": "2"}),
            ("again", 0.8, {"train_images": 1000, "train_sha256": "2"}),
        )
    ]
    (board,) = scored(*paths).boards
    large = "spp (1,000 of train, run {})"
    assert keys(board) == ["spp (100 of train)", large.format("large"), large.format("again")]
    assert board.varying == ("training images",)


# Relations


def test_a_pair_that_was_not_fitted_alike_is_not_compared(tmp_path: Path, two: tuple[Path, Path]) -> None:
    """Each thing that differs is named; where some other two agree, they are compared instead."""
    other = {"train_images": 100, "train_sha256": "1", "train_boxes_sha256": "1"}
    small = plant(tmp_path / "small", {"rcnn:pyramid": 0.7}, images=ids(30), dataset=other)
    (board,) = scored(two[0], small).boards
    found = judged(board, "spp-as-rcnn")
    assert found.verdict == "not comparable"
    assert found.unlike == ["training images: 300 of train against 100 of train"]
    fitted_alike = plant(tmp_path / "spp", {"spp": 0.6}, images=ids(30), dataset=other)
    (board,) = scored(two[0], small, fitted_alike).boards
    found = judged(board, "spp-as-rcnn")
    assert (found.left, found.right) == ("spp (100 of train)", "rcnn:pyramid")
    assert found.verdict != "not comparable"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan": {"backbone": "squeezenet1_1"}}, "network: mini against squeezenet1_1"),
        ({"plan": {"weights": "elsewhere/mine.safetensors"}}, None),  # the digest decides, not the name
        (
            {"plan": {"max_proposals": 500}},
            "test boxes: selective-search, at most 2,000 against selective-search, at most 500",
        ),
        ({"plan": {"iterations": 5000}}, "schedule: quick against 5,000 mini-batches"),
        ({"plan": {"fc_width": 64}}, "schedule: quick against quick, fc width 64"),
        ({"plan": {"policy": "paper"}}, "policy: shared against paper"),
        ({"plan": {"precision": "bf16"}}, "precision: fp32 against bf16"),
        ({"dataset": {"test_boxes_sha256": "0"}}, "other test boxes"),
        ({"dataset": {"train_boxes_sha256": "0"}}, "other training boxes"),
    ],
)
def test_each_thing_that_scores_rest_on_is_looked_at(
    tmp_path: Path, two: tuple[Path, Path], change: dict[str, Any], words: str | None
) -> None:
    """One change alone keeps two methods from being compared."""
    other = plant(tmp_path / "other", {"fast": 0.8}, images=ids(30), **change)
    found = judged(scored(two[0], other).boards[0], "fast-over-spp")
    # The side that differs is Fast R-CNN's, which is the left one.
    sides = None if words is None else words.partition(": ")
    turned = None if sides is None else sides[0] + sides[1] + " against ".join(reversed(sides[2].split(" against ")))
    assert (turned in found.unlike) if turned is not None else found.unlike == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"iterations": "quick"}, {"iterations": None}),
        ({"fc_width": 1024}, {"fc_width": None}),
        ({"fc_width": 4096, "backbone": "zf5"}, {"fc_width": None, "backbone": "zf5"}),
    ],
)
def test_one_schedule_in_two_words_is_one(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    """What a plan leaves out stands for what it would say."""
    paths = [
        plant(tmp_path / name, {method: 0.7}, images=ids(20), plan=plan)
        for name, method, plan in (("one", "spp", one), ("other", "fast", other))
    ]
    (board,) = scored(*paths).boards
    assert board.varying == ()
    assert judged(board, "fast-over-spp").unlike == []


def test_own_fc_widths_are_those_of_the_backbones() -> None:
    """Of each that is listed."""
    for name, width in _OWN_WIDTHS.items():
        weights = "auto" if name == "mini" else "random"
        geometry = detectors.load_backbone(name, weights, generator=torch.Generator()).geometry
        assert fc_widths(geometry, None) == (width, width)


def test_two_training_sets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """By digits of the digest; a difference between them is marked, and so is one of other test boxes."""
    other = {"train_sha256": "e" * 64, "test_boxes_sha256": "f" * 64}
    first = plant(tmp_path / "first", SKILLS, images=ids(20))
    second = plant(tmp_path / "second", {"spp": 0.7, "fast": 0.8}, images=ids(20), dataset=other)
    (board,) = scored(first, second).boards
    assert board.varying == ("training images", "test boxes")
    key = f"spp (300 of train, sha256 {{}}, test boxes {BOXES} 2,000, sha256 {{}})"
    assert keys(board)[1:3] == [key.format("a" * 6, "of 20"), key.format("e" * 6, "f" * 6)]
    fast = entry(board, "fast")
    assert fast.given["training images"] == "300 of train, sha256 eeeeee"
    assert fast.unlike == ("other training images", "other test boxes")
    assert entry(board, "spp:ftfc7").unlike == ()


def fitted(path: Path, method: str, settings: Mapping[str, Any]) -> Path:
    fit = {"split": "train", "images": 300, "sha256": "a" * 64, "boxes_sha256": "b" * 64, "proposals": "x"}
    about = {method: {"fit": fit | {"max_proposals": 2000, "settings": settings}}}
    return plant(path, {method: 0.7}, images=ids(20), methods=about)


def test_settings_of_fits_are_compared_but_for_what_methods_stand_for(tmp_path: Path) -> None:
    """Names say which differ; iterations are those of the schedule, and older runs say nothing."""
    settings = {"iterations": 600, "scales_px": [688], "svm": {"c": 0.001, "negative_overlap": 0.7}, "sgd": {"lr": 1}}
    spp = fitted(tmp_path / "spp", "spp", settings)
    five = fitted(tmp_path / "five", "spp:5", settings | {"scales_px": [480, 688], "iterations": 300})
    assert judged(scored(spp, five).boards[0], "five-scales").unlike == []
    tuned = fitted(tmp_path / "tuned", "spp:5", settings | {"scales_px": [480], "sgd": {"lr": 2}})
    found = judged(scored(spp, tuned).boards[0], "five-scales")
    assert (found.verdict, found.unlike) == ("not comparable", ["settings: sgd.lr 2 against 1"])
    rcnn = fitted(tmp_path / "rcnn", "rcnn:pyramid", {"svm": {"c": 0.01, "negative_overlap": None}, "sgd": {"lr": 3}})
    found = judged(scored(spp, rcnn).boards[0], "spp-as-rcnn")
    assert found.unlike == ["settings: svm.c 0.001 against 0.01"]
    (board,) = scored(spp, rcnn, baseline="spp").boards
    assert entry(board, "rcnn:pyramid").unlike == ("settings: svm.c 0.01 against 0.001",)


def test_what_the_manifest_says_of_a_fit_goes_before_what_it_says_of_the_run(
    tmp_path: Path, two: tuple[Path, Path]
) -> None:
    """A model that another run fitted has its own training images and boxes."""
    fit = {
        "split": "trainval",
        "images": 5,
        "sha256": "5",
        "boxes_sha256": "6",
        "proposals": "a/b.npz",
        "max_proposals": 7,
    }
    path = plant(tmp_path / "fitted", {"fast": 0.8}, images=ids(30), methods={"fast": {"fit": fit}})
    given = entry(scored(path).boards[0], "fast").given
    assert (given["training images"], given["training boxes"]) == ("5 of trainval", "b.npz, at most 7")


def test_two_methods_with_the_same_detections_are_equal_for_certain(tmp_path: Path) -> None:
    """Every draw gives a difference of nothing: at or above is met, above is not."""
    rows = detected(objects(ids(20)), "one", 0.7)
    names = ("fast", "fast:5", "fast:fc6")
    path = plant(tmp_path / "run", dict.fromkeys(names, 0.7), images=ids(20), detections=dict.fromkeys(names, rows))
    (board,) = scored(path).boards
    found = {one.relation: (one.verdict, ends(one.difference["voc07"])) for one in board.judged}
    assert found == {"five-scales": ("met", (0, 0, 0)), "tuned-convolutions": ("not met", (0, 0, 0))}


def test_an_interval_wider_than_its_range_is_said_to_be(two: tuple[Path, Path]) -> None:
    """Thirty images cannot place a difference within four points."""
    found = judged(scored(*two).boards[0], "bb")
    assert found.half_width_points is not None
    assert found.out_of_reach == (2 * found.half_width_points > 4.0)
    assert found.out_of_reach
    assert "svd" in {one.relation for one in scored(*two).boards[0].judged}


def test_relations_without_two_methods_are_named(two: tuple[Path, Path]) -> None:
    """So that nobody takes them for met."""
    (board,) = scored(*two).boards
    assert set(board.not_measured).isdisjoint({one.relation for one in board.judged})
    assert {"spp-as-rcnn", "five-scales", "tuned-convolutions"} <= set(board.not_measured)


# What papers print


def test_the_printed_map_stands_beside_with_what_differs(two: tuple[Path, Path]) -> None:
    """[SPP Table 9], row ftfc7 bb of one scale; [FRCN Table 4], model S with SVD."""
    (board,) = scored(*two).boards
    spp, svd = entry(board, "spp").printed, entry(board, "fast:svd").printed
    assert spp is not None
    assert svd is not None
    assert (spp.printed, spp.network, spp.citation) == ("58.0", "ZF-5", "SPP Table 9")
    assert (svd.printed, svd.network, svd.citation) == ("56.5", "CaffeNet", "FRCN Table 4")
    assert "network mini, ZF-5 there" in spp.differs
    assert any(reason.startswith("training set voc:VOCdevkit/VOC2007 train (300 images)") for reason in spp.differs)


# What is refused, or left out


def test_a_method_without_a_score_is_left_out_with_its_reason(tmp_path: Path) -> None:
    """One failed, one was not trained."""
    about = {
        "spp": {"summary": {"status": "oom", "reason": "no memory"}},
        "rcnn": {"summary": {"ap": None, "ap_reason": "untrained"}},
    }
    path = plant(
        tmp_path / "run", {"fast": 0.7, "spp": 0.7, "rcnn": 0.7}, images=ids(9), methods=about, status="partial"
    )
    board = scored(path)
    assert keys(board.boards[0]) == ["fast"]
    assert board.left_out == {"spp of run": "oom: no memory", "rcnn of run": "untrained"}


def rewritten(path: Path, truth: dict[str, Any]) -> Path:
    RunFolder(path).write_truth(truth)
    return path


def test_runs_that_cannot_share_a_board_are_refused(tmp_path: Path, two: tuple[Path, Path]) -> None:
    """In one line each, which names both runs and what to do."""
    truth = objects(ids(30))
    moved = {**truth, "annotations": [{**truth["annotations"][0], "bbox": [0, 0, 9, 9]}, *truth["annotations"][1:]]}
    renamed = {**truth, "categories": [{"id": 1, "name": "ape"}, *truth["categories"][1:]]}
    image = truth["annotations"][0]["image_id"]
    refused = {
        f"first and moved have other ground truth for 1 images, such as {image}": (moved, "moved"),
        "first and renamed have other classes": (renamed, "renamed"),
    }
    for words, (changed, name) in refused.items():
        path = rewritten(plant(tmp_path / name, {"fast": 0.7}, images=ids(30)), changed)
        with pytest.raises(ScoreboardError, match=words):
            scored(two[0], path)
    apart = plant(tmp_path / "apart", {"fast": 0.7}, images=ids(40)[20:])
    with pytest.raises(ScoreboardError, match="30 and 20 images, of which 10 are common"):
        scored(two[0], apart)
    with pytest.raises(ScoreboardError, match="a run folder is named twice"):
        of_folders([two[0], two[0].parent / "." / "first"])
    with pytest.raises(ScoreboardError, match="no run has a score of 'zap'; there are spp, spp:ftfc7"):
        scored(two[0], baseline="zap")
    with pytest.raises(ScoreboardError, match="no run has a score of 'rcnn'"):
        scored(two[0], order=["rcnn"])
    nothing = {"fast": {"summary": {"ap": None, "ap_reason": "untrained"}}}
    with pytest.raises(ScoreboardError, match="no method has a score: untrained"):
        scored(plant(tmp_path / "untrained", {"fast": 0.7}, images=ids(5), methods=nothing))
    with pytest.raises(RunError, match="is not finished"):
        scored(plant(tmp_path / "running", {"fast": 0.7}, images=ids(5), status="running"))
    with pytest.raises(RunError, match="holds no run"):
        of_folders([tmp_path])


def test_the_order_of_objects_does_not_matter(tmp_path: Path, two: tuple[Path, Path]) -> None:
    """Nor do their numbers and areas, which enter no score."""
    truth = objects(ids(30))
    turned = [{**one, "id": at, "area": 1} for at, one in enumerate(reversed(truth["annotations"]))]
    path = rewritten(plant(tmp_path / "turned", {"fast": 0.8}, images=ids(30)), {**truth, "annotations": turned})
    assert len(scored(two[0], path).boards) == 1


def test_a_packed_run_is_scored_like_a_plain_one(tmp_path: Path, two: tuple[Path, Path]) -> None:
    """Committed runs are packed."""
    path = plant(tmp_path / "first", SKILLS, images=ids(30))
    for file in (path / "truth.json", *(path / "detections").glob("*.json")):
        (file.parent / f"{file.name}.gz").write_bytes(pack(file.read_bytes()))
        file.unlink()
    assert scored(path).as_dict() == scored(two[0]).as_dict()


def test_detections_on_equal_scores_keep_their_order(tmp_path: Path) -> None:
    """The first of two equal scores counts first, also on images that another run has alone."""
    truth = objects(ids(30))
    rows = [{**row, "score": 0.5} for row in detected(truth, "spp", 0.7)]
    some = ids(30)[:12]
    whole = plant(tmp_path / "whole", {"spp": 1}, images=ids(30), detections={"spp": rows})
    part = plant(tmp_path / "part", {"fast": 0.7}, images=some)
    found = entry(scored(whole, part).boards[1], "spp")
    table: DetectionTable = detection_table([row for row in rows if row["image_id"] in some], some)
    expected = accuracy.evaluate(table, truth_table(objects(some)), n_classes=len(CLASSES))
    assert found.map["voc07"].value == pytest.approx(expected.map)
    assert found.detections == len(table.scores)


# The committed form


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results with two runs."""
    plant(tmp_path / "runs/first", SKILLS, images=ids(20))
    plant(tmp_path / "runs/second", {"fast": 0.8}, images=ids(20))
    (tmp_path / "scoreboards").mkdir()
    return tmp_path


def written(results: Path, text: str) -> Path:
    path = results / "scoreboards/board.toml"
    path.write_text(text)
    return path


def test_a_file_names_runs_and_how_they_are_shown(results: Path) -> None:
    """And gives what the folders give."""
    text = 'title = "T"\nnote = "N"\nruns = ["first", "second"]\nbaseline = "fast"\norder = ["fast"]\n'
    board = read(written(results, text))
    assert (board.title, board.note, list(board.commands)) == ("T", "N", ["first", "second"])
    assert keys(board.boards[0]) == ["fast", "spp", "spp:ftfc7"]
    other = of_folders([results / "runs/first", results / "runs/second"], baseline="fast")
    assert {one.key: one for one in board.boards[0].entries} == {one.key: one for one in other.boards[0].entries}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('title = "T"\nruns = ["third"]', "no run third in"),
        ('title = "T"\nruns = []', "runs: tuple should have at least 1 item"),
        ('title = "T"\nruns = ["first"]\ncolour = 1', "colour: extra inputs are not permitted"),
        ('runs = ["first"]', "title: field required"),
        ('title = "T"\nruns = ["first", "first"]', "first stands there twice"),
        ("title", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused(results: Path, text: str, words: str) -> None:
    """In one line, by an error that the command line knows."""
    with pytest.raises(StorageError) as caught:
        read(written(results, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_runs_of_one_name_are_called_by_their_paths(results: Path, tmp_path: Path) -> None:
    """So that each is known."""
    other = plant(tmp_path / "elsewhere/first", {"fast": 0.8}, images=ids(20))
    board = of_folders([results / "runs/first", other])
    assert list(board.commands) == [str(results / "runs/first"), str(other)]
