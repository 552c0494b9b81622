"""The graph of a job: sources, operators, and what each operator is applied to.

Streams point at the node they come from, nodes at the nodes before them, never the other way round: a stream keeps
alive what it needs to run, and nothing else. `Plan` flattens what some streams need into numbered sources and
operators, in an order in which every operator follows its inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from .arguments import unique_name
from .family import Family

if TYPE_CHECKING:
    from ._engine import Schema, State

__all__ = [
    "Consumption",
    "Edge",
    "InputRef",
    "Kind",
    "Node",
    "Operator",
    "OperatorNode",
    "Plan",
    "PlannedOperator",
    "SourceNode",
    "ancestry",
]

Kind: TypeAlias = Literal["process", "connect", "broadcast"]


class Consumption:
    """Whether a source that can be read only once has been."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = False


@dataclass(frozen=True, slots=True, eq=False)
class SourceNode:
    """Where records come from. Two nodes are never equal: each is one source of one program."""

    source: Any
    name: str
    timestamp: str | None
    bound_ms: int
    schema: Any
    # "stream" (__arrow_c_stream__), "array" (__arrow_c_array__), "source" (mt.Source), "rows" (list or tuple) or
    # "iterable"
    kind: str
    one_shot: bool
    # Merged with other inputs by arrival, and not by time.
    is_live: bool = False
    # How long a live source may be silent before it no longer holds back a watermark; 0: for ever.
    idle_ms: int = 0
    consumption: Consumption = field(default_factory=Consumption)
    family: Family = field(default_factory=Family)


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """What one operator does: plain data, the function aside. Knows nothing of its place in a graph, so that it can be
    sent to another process on its own."""

    kind: Kind
    fn: Any
    name: str
    # Of each input: left and right, main and broadcast side. Empty: the input has no key.
    keys: tuple[tuple[str, ...], ...]
    # Those given as arguments, beyond the attributes of `fn`.
    states: tuple[State, ...]
    # The states of a broadcast, which its broadcast side may write; their objects are handles, too.
    broadcast: tuple[State, ...]
    output: Schema | None
    side_outputs: dict[str, Schema]


@dataclass(frozen=True, slots=True, eq=False)
class OperatorNode:
    """An operator and what it is applied to."""

    operator: Operator
    inputs: tuple[Edge, ...]
    # Whether its name was given, and is not that of the function.
    is_named: bool = False
    family: Family = field(default_factory=Family)


Node: TypeAlias = SourceNode | OperatorNode


class Edge(NamedTuple):
    """What a source gives, or one output of an operator: its main output, or the side output of a tag."""

    node: Node
    tag: str | None = None


def ancestry(edges: Iterable[Edge]) -> list[Node]:
    """The nodes that lead to these edges, each once, inputs before what is applied to them, left before right."""
    found: dict[Node, None] = {}
    # Not recursive: a chain may be longer than Python's stack.
    waiting: list[tuple[Node, bool]] = [(edge.node, False) for edge in reversed(list(edges))]
    while waiting:
        node, inputs_are_found = waiting.pop()
        if node in found:
            continue
        if inputs_are_found or isinstance(node, SourceNode):
            found[node] = None
            continue
        waiting.append((node, True))
        waiting += [(edge.node, False) for edge in reversed(node.inputs)]
    return list(found)


class InputRef(NamedTuple):
    """An edge by numbers, as the engine counts."""

    source: int  # from 0; -1: it is an operator
    process: int  # from 1; 0: it is a source
    tag: str | None


class PlannedOperator(NamedTuple):
    """An operator of a job. `operator.name` is unique in it."""

    operator: Operator
    inputs: tuple[InputRef, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One job: what it reads, what it does in which order, what it gives."""

    sources: tuple[SourceNode, ...]
    operators: tuple[PlannedOperator, ...]
    outputs: tuple[InputRef, ...]

    @staticmethod
    def of(outputs: Sequence[Edge]) -> Plan:
        """All that these outputs need, and no more."""
        sources: list[SourceNode] = []
        operators: list[PlannedOperator] = []
        places: dict[Node, tuple[int, int]] = {}
        source_names: set[str] = set()
        names: set[str] = set()
        for node in ancestry(outputs):
            if isinstance(node, SourceNode):
                places[node] = len(sources), 0
                source_names.add(name := unique_name(node.name, source_names))
                sources.append(node if name == node.name else replace(node, name=name))
                continue
            inputs = tuple(InputRef(*places[edge.node], edge.tag) for edge in node.inputs)
            names.add(name := unique_name(node.operator.name, names))
            operator = node.operator if name == node.operator.name else replace(node.operator, name=name)
            operators.append(PlannedOperator(operator, inputs))
            places[node] = -1, len(operators)
        return Plan(tuple(sources), tuple(operators), tuple(InputRef(*places[edge.node], edge.tag) for edge in outputs))
