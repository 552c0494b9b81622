"""The plan in words: text, Mermaid, HTML; everything a user names is escaped."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest

import martlet as mt


def emit(key: Any, batch: Any, row: int, ctx: Any) -> None:
    ctx.emit(batch)


class Score(mt.BroadcastProcessFunction):
    seen = mt.ValueState("seen", int, ttl="10m")

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...
    def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...


def graph(config: mt.Config | None = None) -> mt.Stream:
    clicks = mt.stream(iter([{"user": 1}]), timestamp="ts", watermark="5s", name="clicks", idle_timeout="2s")
    users = mt.stream([{"id": 1}], timestamp="at", name="users")
    rules = mt.stream([{"r": 1}], name="rules")
    joined = (
        clicks.key_by("user")
        .connect(users.key_by("id"))
        .process(
            emit,
            mt.MapState("both", str, float),
            name="Join",
            side_outputs={"refused": {"why": str}, "unused": {"x": int}},
        )
    )
    late = joined.side_output("refused").key_by("why", "user").process(emit, name="Refused", output={"why": str})
    return (
        late.key_by("why")
        .connect(rules.broadcast(mt.BroadcastState("rules", str)))
        .process(Score(), config=config or mt.Config(late="drop", on_error="skip"))
    )


def test_text() -> None:
    assert graph().explain() == "\n".join(
        (
            "stream 'clicks': list_iterator, event time 'ts', out of order by up to 5000 ms, merged by arrival, idle "
            "after 2000 ms without a record",
            "stream 'users': list, event time 'at', out of order by up to 0 ms",
            "stream 'rules': list, no event time",
            "  connect 'Join' of 'clicks' (left, by user) and 'users' (right, by id)",
            "    states: MapState('both', 'utf8', 'float64')",
            "    output: inferred from the first emission",
            "    side output 'refused': Schema(why: utf8)",
            "    side output 'unused': Schema(x: int64)",
            "  process 'Refused' by why, user, of the side output 'refused' of 'Join'",
            "    states: none",
            "    output: Schema(why: utf8)",
            "  broadcast 'Score' of 'Refused' (main, by why) and 'rules' (broadcast)",
            "    states: BroadcastState('rules', 'utf8'), ValueState('seen', 'int64', ttl='10m')",
            "    output: inferred from the first emission",
            "profile: 'dev-local': state in memory, lost when the process ends; 'users', 'rules' are read again by "
            "each run; 'clicks' can be read only once",
            "parallelism: 1",
            "policies: null keys: raise; null timestamps: raise; late records: drop; errors: skip; processing-time "
            "timers at the end: fire",
            "guarantee: each record is processed once in a run; inputs are merged as they arrive from 'clicks': "
            "another run may see another order",
        )
    )


def test_mermaid() -> None:
    lines = graph().explain(format="mermaid").splitlines()
    assert lines[0] == "flowchart LR"
    assert all(re.match(r"  [a-z0-9]+[\[\(> -]", line) for line in lines[1:]), lines
    text = "\n".join(lines)
    for part in (
        "n0[(\"stream 'clicks'<br/>source: list_iterator<br/>time: event time 'ts', out of order by up to 5000 ms",
        "n3[\"connect 'Join'<br/>states: MapState('both', 'utf8', 'float64')<br/>output: inferred",
        '  n0 -->|"left, by user"| n3',
        '  n1 -->|"right, by id"| n3',
        "  n3 -.->|\"side output 'refused', by why, user\"| n4",
        "  n3s1([\"side output 'unused'<br/>Schema(x: int64)\"])",
        '  n4 -->|"main, by why"| n5',
        '  n2 -->|"broadcast"| n5',
        "  n5 --> out",
        "ttl='10m'",
        "parallelism: 1",
        "late records: drop",
    ):
        assert part in text, part
    with pytest.raises(mt.ConfigError, match="format='svg' is not allowed; use 'text' or 'mermaid'"):
        graph().explain(format="svg")  # type: ignore[arg-type]


def test_an_output_that_is_a_side_output() -> None:
    out = mt.stream([{"k": 1}]).key_by("k").process(emit).side_output("x")
    assert "  the side output 'x' of 'emit'" in out.explain()
    assert "  n1 -.->|\"side output 'x'\"| out" in out.explain("mermaid")
    assert "output: emit, side output 'x'" in html.unescape(out._repr_html_())


NASTY = "a\"b'<script>alert(1)</script>&#1;`x`|y|{z}\n]--> č"


def nasty() -> mt.Stream:
    source = mt.stream([{"k": 1}], name=NASTY)
    return source.key_by(NASTY).process(
        emit, mt.ValueState(NASTY), name=NASTY + "!", side_outputs={NASTY: {NASTY: int}}, output={NASTY: int}
    )


def test_mermaid_escapes() -> None:
    lines = nasty().explain("mermaid").splitlines()
    for line in lines[1:]:
        labels = re.findall(r'"([^"]*)"', line)
        bare = re.sub(r'"[^"]*"', "", line)
        assert not re.search(r"script|alert|č", bare), line
        for label in labels:
            rest = label.replace("<br/>", "")
            assert not re.search(r'[<>"`&]', rest), label
            assert "script#62;" in label or "script" not in label
    assert any("č" in line for line in lines)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        assert {name for name, _ in attrs} <= {"class", "style"}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("make", [graph, nasty])
def test_html_is_well_formed_and_escaped(make: Any) -> None:
    stream = make()
    tags = Tags()
    tags.feed(stream._repr_html_())
    tags.close()
    assert tags.open == []
    assert tags.seen <= {
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "b",
        "br",
        "details",
        "summary",
        "pre",
    }
    assert stream.explain("mermaid") in tags.text
    for word in ("http", "src="):
        assert word not in stream._repr_html_()


def test_html_of_a_stream_without_functions() -> None:
    text = mt.stream([{"k": 1}], name="x")._repr_html_()
    assert "<b>x</b>" in text
    assert "output: x" in text


def test_words_of_the_objects() -> None:
    left, right = mt.stream([{"k": 1}], name="a").key_by("k"), mt.stream([{"k": 1}], name="b").key_by("k")
    assert (
        repr(left.connect(right)) == "<ConnectedStreams <KeyedStream <Stream a> by k>, <KeyedStream <Stream b> by k>>"
    )
    assert repr(left.connect(right).process(emit)) == "<Stream a + b -> emit>"
    broadcast = mt.stream([{"r": 1}], name="rules").broadcast()
    assert repr(broadcast) == "<BroadcastStream <Stream rules>, no states>"
    assert repr(left.connect(broadcast)).startswith("<BroadcastConnectedStreams <Stream a> by k, <BroadcastStream")
