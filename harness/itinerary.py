"""What one process of a run goes through, in which order: blocks, and the places of all samples in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness import order
from harness.examples import Images
from harness.order import Block
from harness.plan import Plan
from harness.record import Sample
from harness.sampler import Place
from harness.sweep import Sweep
from harness.turns import Call

__all__ = ["Itinerary", "Leg"]


@dataclass(frozen=True, slots=True)
class Leg:
    """A block, as it is or changed by a sweep."""

    block: Block
    value: float | None = None


class Itinerary:
    """All legs of one process. It follows from the plan, the methods and the number of images alone."""

    def __init__(self, plan: Plan, names: Sequence[str], images: Images, process: int) -> None:
        """`names` are the methods that can detect, in the order of the plan."""
        self._plan, self._names, self._images, self._process = plan, names, images, process
        self._sweep = Sweep.of(plan.sweep) if plan.sweep and process == 0 else None
        count = len(images.ids)
        self._unmarked = order.unmarked_images(count, plan.seed)
        self._unmarked_first = order.unmarked_first(count, plan.seed, turn=process)
        self.block_images = order.block_images(count, plan.block)
        self._blocks = self._scheduled(plan.repeats)
        self.tasks = {"measuring": [Leg(block) for block in self._blocks], "sweep": self._points()}
        """Legs by what the user is told of them, in the order of time."""

    @property
    def first_turn(self) -> int:
        """Of the methods, as in `Block`."""
        return self._blocks[0].turn

    def missing(self, done: Callable[[tuple[object, ...]], bool]) -> set[Leg]:
        """The legs of which a sample is missing; `done` tells by the key of a sample whether it is there."""
        return {
            leg
            for legs in self.tasks.values()
            for leg in legs
            if not all(
                done(Sample.key_of(self._process, place.repeat, name, self._images.ids[index], place.role, place.point))
                for name, index, places in self._places(leg)
                for place in places
            )
        }

    def calls(self, leg: Leg) -> dict[str, list[Call]]:
        """The calls of a leg by method, in the order of their turns; decodes its images."""
        examples = {index: self._images.examples[index] for index in leg.block.images}
        if self._sweep is not None and leg.value is not None:
            examples = {index: self._sweep.apply(example, leg.value) for index, example in examples.items()}
        calls: dict[str, list[Call]] = {}
        for name, index, places in self._places(leg):
            calls.setdefault(name, []).append(Call(examples[index], places))
        return calls

    def _scheduled(self, repeats: int) -> list[Block]:
        return list(
            order.schedule(
                len(self._images.ids),
                self._names,
                repeats=repeats,
                process=self._process,
                seed=self._plan.seed,
                block_images=self.block_images,
            )
        )

    def _points(self) -> list[Leg]:
        """Each value of the sweep on each block, the values in turns as the methods are."""
        if self._sweep is None:
            return []
        values = {str(value): value for value in self._sweep.values}
        return [
            Leg(block, values[one]) for block in self._scheduled(1) for one in order.williams(list(values), block.turn)
        ]

    def _places(self, leg: Leg) -> Iterator[tuple[str, int, tuple[Place, ...]]]:
        """Method, image, and its calls in their order: the marked one, and the unmarked one where there is one."""
        block = leg.block
        unmarked = self._unmarked if block.repeat == 0 and leg.value is None else frozenset()
        for position, name in enumerate(block.order):
            for index in block.images:
                place = Place(block.repeat, index, position, block.number)
                if self._sweep is not None and leg.value is not None:
                    place = replace(place, role="sweep", point=self._sweep.point(leg.value))
                places = (place, replace(place, role="unmarked")) if index in unmarked else (place,)
                yield name, index, places[::-1] if index in self._unmarked_first else places
