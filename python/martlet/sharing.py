"""Streams that share a run: the outputs of one function, and what follows them; what reads one source that can be read
only once.

Once a side output of a function was asked for, all streams that come from that function share a run: the first that is
consumed starts it, and what it leaves for the others is kept until they are consumed, or dropped. So do all functions
over a source that can be read only once, because there could be no second run. A stream that others were built on is
not one of them: nobody is likely to want its records too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .graph import Node, OperatorNode, SourceNode

if TYPE_CHECKING:
    from .config import Config
    from .stream import Stream

__all__ = ["sharing_streams"]


def sharing_streams(stream: Stream, config: Config | None = None) -> list[Stream]:
    """The streams that share a run of this config with this one, itself included, in the order they were made in."""
    if not _operators(stream):
        return [stream]
    numbers: dict[Stream, int] = {}
    waiting = [stream]
    config = config or stream._config
    while waiting:
        for node in waiting.pop()._nodes:
            if not _is_shared(node):
                continue
            for one, number in node.family.numbered():
                if one in numbers or not _operators(one):
                    continue
                # Streams of one function must agree on a config. Of those that only read the same source, one with
                # another config is left out: it could not run in any case.
                if isinstance(node, OperatorNode) or config is None or one._config in (None, config):
                    config = config or one._config
                    numbers[one] = number
                    waiting.append(one)
    built_on = {edge for one in numbers for node in _operators(one) for edge in node.inputs}
    return sorted(
        {stream: 0, **{one: 0 for one in numbers if one._edge not in built_on}},
        key=lambda one: numbers.get(one, 0),
    )


def _operators(stream: Stream) -> list[OperatorNode]:
    return [node for node in stream._nodes if isinstance(node, OperatorNode)]


def _is_shared(node: Node) -> bool:
    """Whether the streams that come from this node run together."""
    if isinstance(node, SourceNode):
        return node.one_shot
    return bool(node.family.sides) or any(
        edge.node is node and edge.tag is not None
        for stream, _ in node.family.numbered()
        for following in _operators(stream)
        for edge in following.inputs
    )
