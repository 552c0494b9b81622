"""The plan of a stream in words: as text, as a Mermaid flowchart, as HTML for notebooks.

`describe` reads the graph once; what follows only writes it down. Names come from users: every format escapes them.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from .config import Config
from .graph import Edge, InputRef, Operator, Plan, SourceNode
from .guarantees import durable_guarantee, durable_profile
from .states import all_states

__all__ = ["as_html", "as_mermaid", "as_text"]


@dataclass(frozen=True, slots=True)
class _Input:
    """What an operator is applied to: the node's number, the side output, and as what."""

    node: int
    tag: str | None
    words: str  # "left, by id"


@dataclass(frozen=True, slots=True)
class _Described:
    """One node in words. Nodes are numbered in the order of the plan, sources first."""

    is_source: bool
    kind: str
    name: str
    facts: tuple[tuple[str, str], ...]
    inputs: tuple[_Input, ...]
    side_outputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Description:
    nodes: tuple[_Described, ...]
    output: _Input
    job: tuple[tuple[str, str], ...]


# ---- reading the graph -----------------------------------------------------------------------------------


def describe(edge: Edge, config: Config | None) -> _Description:
    plan = Plan.of([edge])
    n_sources = len(plan.sources)

    def place(ref: InputRef, words: str) -> _Input:
        return _Input(ref.source if ref.source >= 0 else n_sources + ref.process - 1, ref.tag, words)

    nodes = [_source(source) for source in plan.sources]
    for operator, refs in plan.operators:
        words = _input_words(operator)
        inputs = tuple(place(ref, text) for ref, text in zip(refs, words, strict=True))
        nodes.append(
            _Described(
                False,
                operator.kind,
                operator.name,
                _operator_facts(operator),
                inputs,
                tuple((tag, repr(schema)) for tag, schema in operator.side_outputs.items()),
            )
        )
    return _Description(tuple(nodes), place(plan.outputs[0], ""), _job_facts(plan, config or Config()))


def _source(source: SourceNode) -> _Described:
    time = (
        f"event time {source.timestamp!r}, out of order by up to {source.bound_ms} ms"
        if source.timestamp
        else "no event time"
    )
    facts = [("source", type(source.source).__name__), ("time", time)]
    if source.is_live:
        idle = f", idle after {source.idle_ms} ms without a record" if source.idle_ms else ""
        facts.append(("live", f"merged by arrival{idle}"))
    return _Described(True, "stream", source.name, tuple(facts), (), ())


def _by(columns: Sequence[str]) -> str:
    return f"by {', '.join(columns)}" if columns else "without a key"


def _input_words(operator: Operator) -> list[str]:
    match operator.kind:
        case "process":
            return [_by(operator.keys[0])]
        case "connect":
            return [f"left, {_by(operator.keys[0])}", f"right, {_by(operator.keys[1])}"]
        case "broadcast":
            return [f"main, {_by(operator.keys[0])}", "broadcast"]


def _operator_facts(operator: Operator) -> tuple[tuple[str, str], ...]:
    states = all_states(
        operator.fn,
        operator.states,
        operator.name,
        operator.kind,
        operator.broadcast,
        is_keyed=bool(operator.keys[0]),
    )
    output = "inferred from the first emission" if operator.output is None else repr(operator.output)
    return ("states", ", ".join(map(repr, states)) or "none"), ("output", output)


def _job_facts(plan: Plan, config: Config) -> tuple[tuple[str, str], ...]:
    once = [repr(source.name) for source in plan.sources if source.one_shot]
    again = [repr(source.name) for source in plan.sources if not source.one_shot]
    reading = [
        *([f"{', '.join(again)} {'is' if len(again) == 1 else 'are'} read again by each run"] if again else []),
        *([f"{', '.join(once)} can be read only once"] if once else []),
    ]
    live = [source.name for source in plan.sources if source.is_live]
    merged = any(len(inputs) > 1 for _, inputs in plan.operators) and bool(live)
    order = (
        f"inputs are merged as they arrive from {', '.join(map(repr, live))}: another run may see another order"
        if merged
        else "the same input gives the same output, in the same order"
    )
    profile = (
        durable_profile(config)
        if config.is_durable
        else f"{config.profile!r}: state in memory, lost when the process ends; {'; '.join(reading)}"
    )
    guarantee = durable_guarantee(plan.sources) if config.is_durable else "each record is processed once in a run"
    return (
        ("profile", profile),
        ("parallelism", str(getattr(config, "parallelism", 1))),
        (
            "policies",
            f"null keys: {config.null_keys}; null timestamps: {config.null_timestamps}; late records: {config.late}; "
            f"errors: {config.on_error}; processing-time timers at the end: {config.at_end}",
        ),
        ("guarantee", f"{guarantee}; {order}"),
    )


# ---- text ------------------------------------------------------------------------------------------------


def as_text(edge: Edge, config: Config | None, *, job: bool = True) -> str:
    """Sources first, then every function after what it is applied to, then what holds for the job."""
    plan = describe(edge, config)
    lines = []
    for number, node in enumerate(plan.nodes):
        if node.is_source:
            lines.append(f"stream {node.name!r}: {', '.join(text for _, text in node.facts)}")
            continue
        lines.append(f"  {node.kind} {node.name!r} {_text_inputs(plan, number)}")
        lines += [f"    {label}: {text}" for label, text in node.facts]
        lines += [f"    side output {tag!r}: {schema}" for tag, schema in node.side_outputs]
    if plan.output.tag is not None:
        lines.append(f"  the side output {plan.output.tag!r} of {plan.nodes[plan.output.node].name!r}")
    return "\n".join([*lines, *(f"{label}: {text}" for label, text in plan.job if job)])


def _text_inputs(plan: _Description, number: int) -> str:
    inputs = plan.nodes[number].inputs
    # In a chain, what a function is applied to stands right above it.
    if len(inputs) == 1 and inputs[0].tag is None and inputs[0].node == number - 1:
        return inputs[0].words
    parts = []
    for one in inputs:
        name = repr(plan.nodes[one.node].name)
        if one.tag is not None:
            name = f"the side output {one.tag!r} of {name}"
        parts.append(f"{name} ({one.words})" if len(inputs) > 1 else f"{one.words}, of {name}")
    return f"of {' and '.join(parts)}" if len(inputs) > 1 else parts[0]


# ---- Mermaid ---------------------------------------------------------------------------------------------

_MERMAID = {ord(char): f"#{ord(char)};" for char in '"#&;<>`'} | {ord("\n"): " ", ord("\r"): " "}


def as_mermaid(edge: Edge, config: Config | None) -> str:
    """A flowchart of https://mermaid.js.org, left to right."""
    plan = describe(edge, config)
    lines = ["flowchart LR"]
    used = {(one.node, one.tag) for node in plan.nodes for one in node.inputs} | {(plan.output.node, plan.output.tag)}
    for number, node in enumerate(plan.nodes):
        label = _mermaid_label([f"{node.kind} {node.name!r}", *(f"{name}: {text}" for name, text in node.facts)])
        lines.append(f"  n{number}" + (f"[({label})]" if node.is_source else f"[{label}]"))
        for side, (tag, schema) in enumerate(node.side_outputs):
            if (number, tag) not in used:
                lines.append(f"  n{number}s{side}([{_mermaid_label([f'side output {tag!r}', schema])}])")
                lines.append(f"  n{number} -.-> n{number}s{side}")
    for number, node in enumerate(plan.nodes):
        lines += [_mermaid_arrow(one, f"n{number}") for one in node.inputs]
    lines.append('  out(["output"])')
    lines.append(_mermaid_arrow(plan.output, "out"))
    lines.append(f"  job>{_mermaid_label([f'{name}: {text}' for name, text in plan.job])}]")
    return "\n".join(lines)


def _mermaid_label(parts: list[str]) -> str:
    return '"' + "<br/>".join(part.translate(_MERMAID) for part in parts) + '"'


def _mermaid_arrow(one: _Input, target: str) -> str:
    words = [*([f"side output {one.tag!r}"] if one.tag is not None else []), *([one.words] if one.words else [])]
    if not words:
        return f"  n{one.node} --> {target}"
    line = "-.->" if one.tag is not None else "-->"
    return f"  n{one.node} {line}|{_mermaid_label([', '.join(words)])}| {target}"


# ---- HTML ------------------------------------------------------------------------------------------------

_CELL = 'style="text-align:left;vertical-align:top"'


def as_html(edge: Edge, config: Config | None) -> str:
    """A table with a row for each node, what the job promises, and the flowchart as text. No scripts, no network."""
    plan = describe(edge, config)
    rows = []
    for node in plan.nodes:
        inputs = [
            f"{one.words}: {plan.nodes[one.node].name}" + (f", side output {one.tag!r}" if one.tag is not None else "")
            for one in node.inputs
        ]
        facts = [
            *(f"{label}: {text}" for label, text in node.facts),
            *(f"side output {tag!r}: {schema}" for tag, schema in node.side_outputs),
        ]
        rows.append(f"<tr>{_cell([node.kind])}{_cell([node.name], 'b')}{_cell(inputs)}{_cell(facts)}</tr>")
    output = plan.nodes[plan.output.node].name
    if plan.output.tag is not None:
        output += f", side output {plan.output.tag!r}"
    job = "".join(f"<div>{html.escape(f'{label}: {text}')}</div>" for label, text in plan.job)
    return (
        '<div class="martlet-stream"><table><thead><tr>'
        + "".join(f"<th {_CELL}>{title}</th>" for title in ("", "name", "input", ""))
        + f"</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        + f"<div>output: {html.escape(output)}</div>{job}"
        + "<details><summary>Mermaid</summary><pre>"
        + html.escape(as_mermaid(edge, config))
        + "</pre></details></div>"
    )


def _cell(lines: list[str], tag: str = "span") -> str:
    return f"<td {_CELL}>" + "<br>".join(f"<{tag}>{html.escape(line)}</{tag}>" for line in lines) + "</td>"
