"""Making the nodes of the graph: what every way of applying a function to streams comes down to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._engine import Schema, State
from .arguments import check_states, name_or_none, one_config, side_schemas, unique_name
from .graph import Edge, Kind, Operator, OperatorNode, ancestry
from .instances import check_function, function_name
from .states import all_states

if TYPE_CHECKING:
    from .config import Config
    from .stream import Stream

__all__ = ["apply_to", "operator_node"]


def apply_to(
    streams: tuple[Stream, ...],
    kind: Kind,
    fn: Any,
    states: tuple[State, ...],
    keys: tuple[tuple[str, ...], ...],
    *,
    broadcast: tuple[State, ...] = (),
    output: Any,
    side_outputs: Mapping[str, Any] | None,
    name: str | None,
    config: Config | None,
) -> Stream:
    """A function over these streams, each with its key. ConfigError for what does not fit."""
    inputs = tuple(stream._edge for stream in streams)
    node = operator_node(
        kind, fn, states, inputs, keys, broadcast=broadcast, output=output, side_outputs=side_outputs, name=name
    )
    return streams[0]._then(node, one_config(*(stream._config for stream in streams), config))


def operator_node(
    kind: Kind,
    fn: Any,
    states: tuple[State, ...],
    inputs: tuple[Edge, ...],
    keys: tuple[tuple[str, ...], ...],
    *,
    broadcast: tuple[State, ...] = (),
    output: Any = None,
    side_outputs: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> OperatorNode:
    """A node for a function over these inputs. ConfigError for what does not fit."""
    check_function(fn, kind)
    check_states(states)
    given = name_or_none(name)
    label = unique_name(given or function_name(fn), _operator_names(inputs), given=given is not None)
    all_states(fn, states, label, kind, broadcast, is_keyed=bool(keys[0]))
    return OperatorNode(
        Operator(
            kind,
            fn,
            label,
            keys,
            states,
            broadcast,
            None if output is None else Schema(output),
            side_schemas(side_outputs),
        ),
        inputs,
        is_named=given is not None,
    )


def _operator_names(inputs: tuple[Edge, ...]) -> list[str]:
    """The names of the functions before this one. Two that were given the same name on two branches: ConfigError."""
    names: list[str] = []
    for node in ancestry(inputs):
        if isinstance(node, OperatorNode):
            if node.is_named and node.operator.name in names:
                unique_name(node.operator.name, names, given=True)
            names.append(node.operator.name)
    return names
