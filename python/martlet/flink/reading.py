"""In-memory sources, read where the job is submitted: in the engine's order, with the times and watermarks it gives
them.

What the engine does with a source, or with the two of a function of two inputs, before a function sees a record, is
not done again here: a function that only looks is run over them, and what it is shown is what Flink is given to read.
"""

from __future__ import annotations

from typing import Any

from .._engine import Schema
from ..config import Config
from ..functions import BroadcastProcessFunction
from ..graph import Edge, Plan, SourceNode
from ..operators import operator_node
from ..run import Run
from .timer_book import MIN_TIME
from .wire import Element, side_of

__all__ = ["Tap", "read_sources", "watermarks_behind"]


class Tap(BroadcastProcessFunction):
    """Notes what it is shown."""

    def __init__(self, sides: tuple[int, int]) -> None:
        self.sides = sides
        self.elements: list[Element] = []
        self.schemas: dict[int, Schema] = {}

    def __deepcopy__(self, memo: object) -> Tap:
        return self  # the copy that runs is the one that is read

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self._note(self.sides[0], batch, ctx)

    def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self._note(self.sides[1], batch, ctx)

    def _note(self, side: int, record: Any, ctx: Any) -> None:
        if side not in self.schemas:
            self.schemas[side] = record.schema
        values = tuple(record.to_dict().values())
        self.elements.append((0, str(side), ctx.timestamp, ctx.watermark, values, None))


def read_sources(sources: tuple[SourceNode, ...]) -> tuple[list[Element], tuple[Schema | None, ...]]:
    """The elements of a source, or of the left and the right one of two in the order of their merge, and their schemas,
    None for one without records. The tag of an element is its side, 0 or 1, as text."""
    if len(sources) == 1:
        main, other, sides = sources[0], SourceNode([], "none", None, 0, Schema({"none": int}), "rows", False), (0, 1)
    else:
        # Of two records of the same time the broadcast side's goes first, as the left one's does.
        main, other, sides = sources[1], sources[0], (1, 0)
    tap = Tap(sides)
    node = operator_node("broadcast", tap, (), (Edge(main), Edge(other)), ((), ()))
    run = Run(Plan.of([Edge(node)]), Config(profile="dev-local", parallelism=1, null_timestamps="process"))
    (output,) = run.outputs()
    for _ in output.batches(1):
        pass
    return tap.elements, tuple(tap.schemas.get(side) for side in range(len(sources)))


def watermarks_behind(elements: list[Element], sources: tuple[SourceNode, ...]) -> list[int]:
    """The watermark after each of these elements, which is the one that the next has before it. After the last it is
    that of its own input, for the other one has ended."""
    if not elements:
        return []
    before = [MIN_TIME if element[3] is None else element[3] for element in elements]
    side = side_of(elements[-1])
    times = [element[2] for element in elements if element[2] is not None and side_of(element) == side]
    last = max(times) - sources[side].bound_ms - 1 if times else MIN_TIME
    return [*before[1:], max(before[-1], last)]
