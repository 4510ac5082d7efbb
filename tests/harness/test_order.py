"""The order of a run: laws of its design, counted out turn by turn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.order import (
    Block,
    OrderError,
    block_images,
    first_turn,
    schedule,
    unmarked_first,
    unmarked_images,
    williams,
)

METHODS = st.integers(1, 9).map(lambda count: [f"m{index}" for index in range(count)])
SEEDS = st.integers(-(2**63), 2**63)


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, list[str], dict[str, int]]:
    """Arguments of `schedule`, with blocks that divide the images and blocks that do not."""
    chosen = {name: draw(st.integers(low, high)) for name, low, high in (("repeats", 1, 4), ("process", 0, 9))}
    chosen |= {"seed": draw(SEEDS), "block_images": draw(st.integers(1, 40))}
    return draw(st.integers(0, 60)), draw(METHODS), chosen


# One block


@given(METHODS, st.integers(0, 50))
def test_each_method_stands_in_each_position_twice_in_2m_turns(names: list[str], rounds: int) -> None:
    """Nobody is favoured by a place in the queue."""
    count = len(names)
    start = 2 * count * rounds
    placed = Counter(
        (position, name)
        for turn in range(start, start + 2 * count)
        for position, name in enumerate(williams(names, turn))
    )
    assert placed == Counter({(position, name): 2 for position in range(count) for name in names})


@given(METHODS, st.integers(0, 50))
def test_each_method_follows_each_other_one_twice_in_2m_turns(names: list[str], rounds: int) -> None:
    """Williams: nobody is favoured by what a neighbour leaves in the caches, for odd and even numbers of methods."""
    count = len(names)
    start = 2 * count * rounds
    follows = Counter(pair for turn in range(start, start + 2 * count) for pair in pairwise(williams(names, turn)))
    assert follows == Counter(dict.fromkeys(permutations(names, 2), 2))


def test_two_methods_take_turns() -> None:
    """AB, BA, BA, AB."""
    assert ["".join(williams("AB", turn)) for turn in range(4)] == ["AB", "BA", "BA", "AB"]


def test_nobody_has_no_order() -> None:
    """No methods, no blocks to speak of, no error."""
    assert williams([], 3) == []
    assert [block.order for block in schedule(2, [], repeats=1, process=0, seed=0, block_images=1)] == [(), ()]


# The whole schedule


@given(plans())
def test_every_image_of_every_repeat_comes_once_for_every_method(plan: tuple[int, list[str], dict[str, int]]) -> None:
    """Nothing is measured twice and nothing is left out; one repeat ends before the next begins."""
    n_images, methods, rest = plan
    blocks = list(schedule(n_images, methods, **rest))
    measured = Counter(
        (block.repeat, name, image) for block in blocks for name in block.order for image in block.images
    )
    assert measured == Counter(dict.fromkeys(product(range(rest["repeats"]), methods, range(n_images)), 1))
    assert [block.repeat for block in blocks] == sorted(block.repeat for block in blocks)


@given(plans())
def test_blocks_are_even_and_consecutive(plan: tuple[int, list[str], dict[str, int]]) -> None:
    """No block is larger than asked, none smaller than another by two, and their images are neighbours in the split."""
    n_images, methods, rest = plan
    sizes = set()
    for block in schedule(n_images, methods, **rest):
        assert block.images == tuple(range(block.images[0], block.images[0] + len(block.images)))
        sizes.add(len(block.images))
    assert not sizes or (max(sizes) <= rest["block_images"] and max(sizes) - min(sizes) <= 1)


@given(plans(), st.integers(0, 9), SEEDS, METHODS)
def test_an_image_stays_in_its_block(
    plan: tuple[int, list[str], dict[str, int]], process: int, seed: int, others: list[str]
) -> None:
    """Blocks are the clusters of the intervals: the same in all repeats, processes, seeds and for all methods."""
    n_images, methods, rest = plan
    elsewhere = {**rest, "process": process, "seed": seed}
    blocks = [*schedule(n_images, methods, **rest), *schedule(n_images, others, **elsewhere)]
    assert len({(image, block.number) for block in blocks for image in block.images}) == n_images


@given(plans())
def test_positions_are_shared_at_every_moment(plan: tuple[int, list[str], dict[str, int]]) -> None:
    """After any number of blocks within one, and after a multiple of M blocks exactly, for any first turn."""
    n_images, methods, rest = plan
    placed = dict.fromkeys(product(range(len(methods)), methods), 0)
    for past, block in enumerate(schedule(n_images, methods, **rest), start=1):
        for place in enumerate(block.order):
            placed[place] += 1
        assert max(placed.values()) - min(placed.values()) <= (past % len(methods) != 0)


@given(plans())
def test_neighbours_are_shared_at_every_moment(plan: tuple[int, list[str], dict[str, int]]) -> None:
    """Exactly after a whole design (M blocks for even M, 2 M for odd), else within one, or two for odd M."""
    n_images, methods, rest = plan
    odd = len(methods) % 2
    pairs = dict.fromkeys(permutations(methods, 2), 0)
    for past, block in enumerate(schedule(n_images, methods, **rest), start=1):
        for pair in pairwise(block.order):
            pairs[pair] += 1
        if pairs:
            whole = past % ((1 + odd) * len(methods)) == 0
            assert max(pairs.values()) - min(pairs.values()) <= (0 if whole else 1 + odd)


@given(plans())
def test_a_block_says_its_turn(plan: tuple[int, list[str], dict[str, int]]) -> None:
    """The order of a block can be made again from its turn, and the first turn of a process from its number."""
    n_images, methods, rest = plan
    blocks = list(schedule(n_images, methods, **rest))
    assert all(list(block.order) == williams(methods, block.turn) for block in blocks)
    assert all(0 <= block.turn < 2 * len(methods) for block in blocks)
    if blocks:
        assert blocks[0].turn == first_turn(len(methods), process=rest["process"], seed=rest["seed"])


@given(plans())
def test_the_same_seed_gives_the_same_schedule(plan: tuple[int, list[str], dict[str, int]]) -> None:
    """Resuming a run goes on in the order in which it began."""
    n_images, methods, rest = plan
    assert list(schedule(n_images, methods, **rest)) == list(schedule(n_images, methods, **rest))


@given(st.integers(2, 9), st.integers(0, 9), SEEDS)
def test_another_process_has_another_first_turn_and_another_order_of_blocks(
    count: int, process: int, seed: int
) -> None:
    """What the order does to a result differs between processes, so that their spread shows it."""
    methods = [f"m{index}" for index in range(count)]

    def drawn(process: int, seed: int = seed) -> list[Block]:
        return list(schedule(100, methods, repeats=2, process=process, seed=seed, block_images=4))

    here, there = drawn(process), drawn(process + 1)
    assert here[0].turn != there[0].turn
    assert [block.number for block in here] != [block.number for block in there]
    assert [block.number for block in here[:25]] != [block.number for block in here[25:]]
    assert [block.number for block in here] != [block.number for block in drawn(process, seed + 1)]


@given(METHODS, SEEDS)
def test_first_turns_are_shared_between_processes(methods: list[str], seed: int) -> None:
    """Over M processes each method begins once; over 2 M processes each turn is the first once."""
    count = len(methods)
    turns = [first_turn(count, process=process, seed=seed) for process in range(2 * count)]
    assert sorted(turns) == list(range(2 * count))
    assert sorted(williams(methods, turn)[0] for turn in turns[:count]) == sorted(methods)


def test_the_first_turn_is_drawn_by_the_seed() -> None:
    """Over many seeds, each of the four turns of two methods comes in about a quarter of them (here 4 sd wide)."""
    drawn = Counter(first_turn(2, process=0, seed=seed) for seed in range(1000))
    assert set(drawn) == {0, 1, 2, 3}
    assert all(abs(count - 250) < 55 for count in drawn.values())


def test_a_linear_drift_cancels_for_two_methods() -> None:
    """In every four blocks both methods run at the same moment on average, whichever turn came first."""
    for seed in range(20):
        at = {"A": 0, "B": 0}
        blocks = schedule(24, "AB", repeats=1, process=0, seed=seed, block_images=1)
        for past, block in enumerate(blocks, start=1):
            for position, name in enumerate(block.order):
                at[name] += 2 * past + position
            if past % 4 == 0:
                assert at["A"] == at["B"]


def test_a_schedule_is_that_of_today_for_ever() -> None:
    """Typed in from sha256sum: "5 blocks of process 1, repeat 0: N" is 88.., 90.., ad.. for N = 1, 0, 2."""
    blocks = list(schedule(5, "AB", repeats=1, process=1, seed=5, block_images=2))
    assert [block.number for block in blocks] == [1, 0, 2]
    assert {block.number: block.images for block in blocks} == {0: (0,), 1: (1, 2), 2: (3, 4)}


def test_nothing_depends_on_hash_randomisation() -> None:
    """A fresh process with another hash seed draws up the same schedule."""
    code = (
        "from harness.order import *; print(list(schedule(30, ['rcnn', 'spp', 'fast'], repeats=2, process=1, seed=7, "
        "block_images=4)), sorted(unmarked_images(80, 7)), sorted(unmarked_first(80, 7)))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }
    assert len(printed) == 1
    assert "Block(repeat=1" in printed.pop()


def test_one_image_and_one_method_make_a_schedule() -> None:
    """The smallest run: one block a repeat; two methods still take turns over its repeats."""
    alone = list(schedule(1, ["A"], repeats=2, process=0, seed=0, block_images=8))
    assert [(block.repeat, block.images, block.order) for block in alone] == [(0, (0,), ("A",)), (1, (0,), ("A",))]
    first, second = schedule(1, "AB", repeats=2, process=0, seed=0, block_images=8)
    assert first.order == second.order[::-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_images": 0}, "block_images is 0, it must be 1 or more"),
        ({"n_images": -1}, "images is -1"),
        ({"repeats": -1}, "repeats is -1"),
        ({"process": -1}, "process is -1"),
        ({"methods": ["fast", "spp", "fast"]}, "fast named twice"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_once(change: dict[str, object], message: str) -> None:
    """Before the first block is asked for."""
    asked = {"n_images": 3, "methods": ["A"], "repeats": 1, "process": 0, "seed": 0, "block_images": 1, **change}
    with pytest.raises(OrderError, match=message):
        schedule(**asked)  # type: ignore[arg-type]


# Size of a block


@given(st.integers(0, 10_000))
def test_there_are_enough_blocks_and_none_is_large(n_images: int) -> None:
    """24 blocks or one an image, of eight images at most."""
    size = block_images(n_images)
    assert 1 <= size <= 8
    blocks = {block.number for block in schedule(n_images, "A", repeats=1, process=0, seed=0, block_images=size)}
    assert len(blocks) >= min(24, n_images)


def test_a_block_is_as_large_as_wanted() -> None:
    """Where there are so many images; of none there is no block."""
    assert [block_images(100, wanted) for wanted in (1, 8, 100, 1000)] == [1, 8, 100, 100]
    assert [block_images(n) for n in (0, 1, 47, 48, 191, 192, 4952)] == [1, 1, 1, 2, 7, 8, 8]
    with pytest.raises(OrderError, match="a block of 0 images"):
        block_images(100, 0)


# Images without marks


@given(st.integers(0, 500), SEEDS, st.integers(0, 9))
def test_a_tenth_of_the_images_is_timed_without_marks(n_images: int, seed: int, turn: int) -> None:
    """Five at least, all at most; half of them before the marked call, and the other half so in the next turn."""
    chosen = unmarked_images(n_images, seed)
    assert len(chosen) == min(n_images, max(5, n_images // 10))
    assert chosen <= set(range(n_images))
    before, after = (unmarked_first(n_images, seed, turn=each) for each in (turn, turn + 1))
    assert not before & after
    assert before | after == chosen
    assert abs(len(before) - len(after)) <= 1


def test_unmarked_images_are_drawn_from_the_whole_split() -> None:
    """Each image is chosen by about a tenth of the seeds (here 5 sd wide), not the first ones by all."""
    drawn = Counter(image for seed in range(500) for image in unmarked_images(100, seed))
    assert all(15 <= drawn[image] <= 85 for image in range(100))
