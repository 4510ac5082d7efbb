"""Relations of the papers: their numbers follow from the printed ones, and a verdict follows from two ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detectors
from harness.relations import SAME, Expected, Own, holds, of_one_method
from harness.relations_file import RelationError, read_reference
from harness.settings import as_json, deciding_fit
from printed import CLAIMS

REFERENCE = read_reference(CLAIMS)
NOT_YET = {"rcnn:pool5", "rcnn:pyramid:pool5"}
"""Rows of SPP Table 9 that the papers have; a detector may have them, too."""

POINTS = st.floats(-30, 30, allow_nan=False)
ENDS = st.tuples(POINTS, POINTS).map(sorted)
EXPECTED = st.builds(
    lambda ends, low_open, high_open, above: Expected(
        None if low_open and not high_open else ends[0], None if high_open else ends[1], above
    ),
    *(ENDS, st.booleans(), st.booleans(), st.booleans()),
).filter(lambda one: one.width != 0)


def published() -> dict[str, list[float]]:
    """By the two methods of a pair, the differences in the order of the file."""
    return {
        f"{pair.left} - {pair.right}": [one.points for one in pair.published]
        for relation in REFERENCE.relations
        for pair in relation.pairs
    }


def test_published_differences_are_those_of_the_printed_rows() -> None:
    """Subtracted by hand from the tables. [SPP Tables 9, 10; RCNN Tables 2, 3; FRCN Tables 1, 4 to 8]"""
    assert published() == {
        "spp - rcnn:pyramid": [-1.2, -0.5],
        "spp:ftfc7 - rcnn:pyramid:no-bb": [-0.6, 0.3],
        "spp:5 - rcnn:pyramid": [0.0, 0.7],
        "spp:5:ftfc7 - rcnn:pyramid:no-bb": [0.1, 1.0],
        "spp:pool5 - rcnn:pyramid:pool5": [-1.2],
        "spp:5:pool5 - rcnn:pyramid:pool5": [0.7],
        "spp:5 - spp": [1.2],
        "spp:5:ftfc7 - spp:ftfc7": [0.7],
        "spp:5:ftfc6 - spp:ftfc6": [1.4],
        "spp:5:fc6 - spp:fc6": [2.3],
        "spp:5:pool5 - spp:pool5": [1.9],
        "fast:5 - fast": [1.3, 1.5],
        "spp:ftfc7 - spp:ftfc6": [2.2],
        "spp:ftfc6 - spp:pool5": [9.3],
        "spp:5:ftfc7 - spp:5:ftfc6": [1.5],
        "spp:5:ftfc6 - spp:5:pool5": [8.8],
        "rcnn:no-bb - rcnn:pool5": [10.0],
        "rcnn:pyramid:no-bb - rcnn:pyramid:pool5": [],
        "spp - spp:ftfc7": [3.5],
        "spp:5 - spp:5:ftfc7": [4.0],
        "rcnn - rcnn:no-bb": [4.3, 3.8],
        "rcnn:pyramid - rcnn:pyramid:no-bb": [4.1],
        "fast - fast:no-bb": [3.8, 3.7, 3.5],
        "fast - spp": [-0.9],
        "fast - spp:5": [5.0],
        "fast:svd - fast": [-0.6, -0.5, -0.3],
        "fast - fast:svm": [0.8, 0.5, 0.1],
        "fast - fast:classes": [4.9, 4.3],
        "fast:no-bb - fast:classes": [1.1, 0.8, 0.8],
        "fast - fast:stage-wise": [2.5, 2.6, 2.9],
        "fast - fast:fc6": [5.5],
    }


def test_the_papers_meet_their_own_relations() -> None:
    """But for one: Fast R-CNN on CaffeNet is below SPP-net on ZF-5, another network. [FRCN Table 7]"""
    missed = [
        (relation.id, one.citation)
        for relation in REFERENCE.relations
        for pair in relation.pairs
        for one in pair.published
        if not relation.expected.has(one.points)
    ]
    assert missed == [("fast-over-spp", "FRCN Table 7, CaffeNet against ZF-5")]


def test_every_method_that_is_named_is_one() -> None:
    """A relation about a variant that no detector has would never be measured."""
    named = {name for one in REFERENCE.relations for pair in one.pairs for name in (pair.left, pair.right)}
    unknown = set()
    for name in named | {row.method for row in REFERENCE.rows}:
        try:
            detectors.load(name)
        except detectors.MethodError:
            unknown.add(name)
    assert unknown <= NOT_YET


def test_every_method_of_a_relation_has_a_row() -> None:
    """So that scoreboards have an order for all."""
    named = {
        of_one_method(name) for one in REFERENCE.relations for pair in one.pairs for name in (pair.left, pair.right)
    }
    assert named <= {of_one_method(row.method) for row in REFERENCE.rows}


def test_every_relation_asks_for_the_same_fit() -> None:
    """None of them is about two networks, two training sets or two sets of boxes."""
    asked = {(pair.left, pair.right): pair.same for one in REFERENCE.relations for pair in one.pairs}
    # Nothing is fine-tuned below these.
    for left in ("spp:pool5", "spp:5:pool5"):
        assert set(SAME) - set(asked.pop((left, "rcnn:pyramid:pool5"))) == {"schedule"}
    assert set(asked.values()) == {SAME}


# The verdict


@pytest.mark.parametrize(
    ("expected", "low", "high", "found"),
    [
        (Expected(-1.5, 1.5), -1.5, 1.5, "met"),
        (Expected(-1.5, 1.5), -1.6, 0.0, "inconclusive"),
        (Expected(-1.5, 1.5), -4.0, 4.0, "inconclusive"),  # wider than the range on both sides
        (Expected(-1.5, 1.5), 1.6, 3.0, "not met"),
        (Expected(-1.5, 1.5), -3.0, -1.6, "not met"),
        (Expected(0.0, None), 0.0, 0.0, "met"),  # two methods with the same detections
        (Expected(0.0, None), -0.1, 5.0, "inconclusive"),
        (Expected(0.0, None), -5.0, -0.1, "not met"),
        (Expected(0.0, None, above=True), 0.0, 0.0, "not met"),
        (Expected(0.0, None, above=True), 0.0, 1.0, "inconclusive"),
        (Expected(0.0, None, above=True), 0.1, 1.0, "met"),
        (Expected(None, 1.0), -50.0, 1.0, "met"),
        (Expected(None, 1.0), 1.1, 2.0, "not met"),
        (Expected(2.0, 6.0), None, None, "inconclusive"),
    ],
)
def test_verdict(expected: Expected, low: float | None, high: float | None, found: str) -> None:
    """Inside is met, outside is not, and what lies across an end is neither."""
    assert holds(expected, low, high) == found


@given(EXPECTED, ENDS, st.lists(st.floats(0, 1), max_size=20))
def test_a_verdict_speaks_of_every_difference_in_the_interval(
    expected: Expected, ends: list[float], inner: list[float]
) -> None:
    """Met: each of them agrees; not met: none does; inconclusive: one disagrees, so that it is not met for nothing."""
    low, high = ends
    agree = [expected.has(min(low + share * (high - low), high)) for share in (0.0, *inner, 1.0)]
    verdict = holds(expected, low, high)
    assert {"met": all(agree), "not met": not any(agree), "inconclusive": not (agree[0] and agree[-1])}[verdict]


@given(EXPECTED, ENDS, st.floats(0, 1), st.floats(0, 1))
def test_more_images_never_turn_a_verdict_round(
    expected: Expected, ends: list[float], first: float, second: float
) -> None:
    """An interval within a decided one is decided alike."""
    low, high = ends
    inside = sorted(min(low + share * (high - low), high) for share in (first, second))
    verdict = holds(expected, low, high)
    assert verdict in ("inconclusive", holds(expected, *inside))


@given(EXPECTED, POINTS)
def test_a_point_is_always_decided(expected: Expected, points: float) -> None:
    """Enough images decide everything but a difference at the very end of the range."""
    assert holds(expected, points, points) == ("met" if expected.has(points) else "not met")


# Names and files


def test_the_order_of_variants_and_the_network_do_not_matter() -> None:
    """A method is its class and what is varied in it."""
    assert of_one_method("spp:5:ftfc7") == of_one_method("spp:ftfc7:5@zf5")
    assert of_one_method("spp:5") != of_one_method("spp") != of_one_method("fast")


SAME_LINE = f"same = {list(SAME)}\n"
ROW = '[[row]]\nmethod = "spp"\ntitle = "SPP"\n'


def relation(pairs: str = '[{ left = "spp", right = "rcnn" }]', ends: str = "low = 0.0") -> str:
    return f'[[relation]]\nid = "one"\nsentence = "S"\nsource = "SPP"\n{ends}\npairs = {pairs}\n'


PUBLISHED = '[{{ left = "fast", right = "spp:5", published = [{{ at = "{}", left = "{}", right = "spp:5@VGG16" }}] }}]'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (relation(PUBLISHED.format("FRCN Table 77", "fast@VGG16")), "FRCN Table 77 has no mAP of fast@VGG16"),
        (relation(PUBLISHED.format("FRCN Table 1", "fast@VGG16")), "FRCN Table 1 has 3 mAP of fast@VGG16"),
        (relation(ends=""), "relation one expects nothing"),
        (relation(ends="low = 2.0\nhigh = 1.0"), "expects 2.0 to 1.0; give the lower end as low"),
        (relation() + relation(), "relation one stands there twice"),
        (relation() + ROW + ROW, "row spp stands there twice"),
        (relation(ends='low = 0.0\nsame = ["colour"]'), "relation.0.same.0: input should be 'network'"),
        (relation(pairs="[]"), "relation.0.pairs: tuple should have at least 1 item"),
        ("low", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    """Which names what is wrong, and where."""
    path = tmp_path / "relations.toml"
    path.write_text(SAME_LINE + text + ("" if "[[row]]" in text else ROW))
    with pytest.raises(RelationError, match=r"relations\.toml") as caught:
        read_reference(CLAIMS, path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_relation_may_ask_for_less(tmp_path: Path) -> None:
    """What it says itself holds instead of what the file says of all; and what a pair says instead of that."""
    path = tmp_path / "relations.toml"
    path.write_text(SAME_LINE + relation(ends='high = 0.0\nsame = ["network"]') + ROW)
    (found,) = read_reference(CLAIMS, path).relations
    assert [pair.same for pair in found.pairs] == [("network",)]
    assert found.expected == Expected(None, 0.0)
    pairs = '[{ left = "spp", right = "rcnn", same = ["policy"] }, { left = "spp:5", right = "spp" }]'
    path.write_text(SAME_LINE + relation(pairs, 'high = 0.0\nsame = ["network"]') + ROW)
    (found,) = read_reference(CLAIMS, path).relations
    assert [pair.same for pair in found.pairs] == [("policy",), ("network",)]


def fit_settings(name: str) -> dict[str, object]:
    """By dotted name, what decides the fit of a method as it is unless asked otherwise."""
    method = detectors.load(name)
    return dict(flat(as_json(deciding_fit(method, method.config))))


def flat(values: Mapping[str, object], where: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{where}{name}.")
        else:
            yield where + name, value


def test_methods_as_they_are_differ_in_nothing_but_what_is_their_own() -> None:
    """Of all variants there are; and all that is said to be their own is a setting in which some two differ."""
    names = [
        each
        for base in ("rcnn", "spp", "fast")
        for each in (base, *(f"{base}:{variant}" for variant in detectors.load(base).detector.variants))
    ]
    fits = {name: fit_settings(name) for name in names}
    used: set[str] = set()
    for left, right in permutations(names, 2):
        shared = (fits[left].keys() & fits[right].keys()) - {"iterations", "fc_width"}
        differing = {name for name in shared if fits[left][name] != fits[right][name]}
        assert {name for name in differing if not REFERENCE.own.explains(name, left, right)} == set()
        used |= differing
    said = {name for each in REFERENCE.own.of.values() for name in each}
    assert {one for one in said if not any(f"{name}.".startswith(f"{one}.") for name in used)} == set()


def test_what_is_shared_explains_nothing() -> None:
    """Two methods on five scales should have the same five."""
    own = Own({"spp": ("sgd",), "spp:5": ("scales_px",), "rcnn": ("svm.c",)})
    assert own.explains("scales_px", "spp:5", "spp")
    assert own.explains("scales_px", "spp:ftfc7@zf5", "spp:5:ftfc7")
    assert not own.explains("scales_px", "spp:5", "spp:5:ftfc7")
    assert own.explains("sgd.lr", "spp", "rcnn")
    assert not own.explains("sgd.lr", "spp", "spp:5")
    assert not own.explains("sgd_random_fc.lr", "spp", "rcnn")
