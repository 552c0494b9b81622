"""A stream and a broadcast: handles, who may write, order, keyed states of all keys, large tables, errors."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pyarrow as pa
import pytest

import martlet as mt
from martlet import BroadcastProcessFunction, BroadcastState, ListState, ValueState, broadcast_stream

RULES = [{"id": "a", "limit": 10, "at": 0}, {"id": "b", "limit": 20, "at": 5}, {"id": "a", "limit": 30, "at": 20}]
EVENTS = [{"user": u, "rule": r, "ts": t} for u, r, t in (("x", "a", 0), ("y", "b", 4), ("x", "b", 5), ("y", "a", 25))]

limits = BroadcastState("limits", str, int)


def rules(rows: Any = RULES, **options: Any) -> mt.Stream:
    return mt.stream(rows, timestamp="at", name="rules", **options)


def events(rows: Any = EVENTS, **options: Any) -> mt.Stream:
    return mt.stream(rows, timestamp="ts", name="events", **options)


class Check(BroadcastProcessFunction):
    """Its handle is the object given to `.broadcast(...)`."""

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        ctx.emit(user=batch["user"], limit=limits.get(batch["rule"]))

    def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        assert key is None
        assert ctx.key is None
        limits.put(batch["id"], batch["limit"])


class CheckByAttribute(BroadcastProcessFunction):
    """Its handle is an attribute of the same name."""

    rules = BroadcastState("limits", str, "int64")

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        assert ctx.state("limits").get(batch["rule"]) == self.rules.get(batch["rule"])
        ctx.emit(user=batch["user"], limit=self.rules.get(batch["rule"]))

    def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        self.rules[batch["id"]] = batch["limit"]


# The broadcast comes first among equals: at 0 and at 5 the rule is there.
EXPECTED = [
    {"user": "x", "limit": 10},
    {"user": "y", "limit": None},
    {"user": "x", "limit": 20},
    {"user": "y", "limit": 30},
]


@pytest.mark.parametrize("fn", [Check(), CheckByAttribute()], ids=["object", "attribute"])
def test_every_form(fn: Any) -> None:
    broadcast = rules().broadcast(limits)
    forms = [
        broadcast_stream(events(), broadcast, fn),
        broadcast_stream(events(), broadcast, fn, key="user"),
        broadcast_stream(events(), broadcast, fn, key=("user", "rule")),
        broadcast_stream(events().key_by("user"), broadcast, fn),
        events().key_by("user").connect(broadcast).process(fn),
        events().connect(broadcast).process(fn),
    ]
    for out in forms:
        assert out.to_pylist() == EXPECTED
        assert out.to_pylist() == EXPECTED


def test_the_object_and_the_attribute_are_one_state() -> None:
    class Both(CheckByAttribute):
        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            limits.put(batch["id"], batch["limit"])
            assert self.rules.items() == limits.items() == ctx.state("limits").items()
            assert self.rules is not limits

    assert broadcast_stream(events(), rules().broadcast(limits), Both()).to_pylist() == EXPECTED
    with pytest.raises(mt.StateAccessError, match="outside of a callback"):
        limits.get("a")


def test_a_bounded_broadcast_without_times_is_read_first() -> None:
    table = mt.stream([{"id": "b", "limit": 7}]).broadcast(limits)
    out = broadcast_stream(events(), table, Check(), key="user", output={"user": str, "limit": int})
    assert [r["limit"] for r in out.to_pylist()] == [None, 7, 7, None]


def test_any_chunking_gives_the_same() -> None:
    table = pa.table({"user": [f"u{i % 9}" for i in range(600)], "rule": ["a", "b"] * 300, "ts": list(range(600))})
    changes = pa.table({"id": ["a", "b", "c"] * 50, "limit": list(range(150)), "at": [i * 4 for i in range(150)]})

    def out(a: Any, b: Any) -> list[Any]:
        main, side = events(a, bounded=True), rules(b, bounded=True)
        return broadcast_stream(main, side.broadcast(limits), Check(), key="user").to_pylist()

    whole = out(table, changes)
    assert [r["limit"] for r in whole] == [
        ((i // 4) // 3 * 3 + (i % 2)) if (i // 4) % 3 >= i % 2 else _before(i) for i in range(600)
    ]
    for n, m in ((1, 1), (100, 7), (599, 150)):
        assert out(table.to_batches(max_chunksize=n), iter(changes.to_batches(max_chunksize=m))) == whole


def _before(i: int) -> int | None:
    """The limit of "b" where "a" was set last: that of the round before."""
    last = (i // 4) // 3 * 3 + 1 - 3
    return last if last >= 0 else None


def test_all_methods_everywhere() -> None:
    state = BroadcastState("s")

    class Methods(BroadcastProcessFunction):
        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            state.put("x", [1])
            state["y"] = {"a": None}
            state.put_json("z", (1, 2))
            state.put(3, 4)
            assert state.remove("z") is True
            assert state.remove("z") is False
            del state[3]
            if batch["clear"]:
                state.clear()

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.emit(
                text=repr(
                    (
                        state.items(),
                        state.keys(),
                        state.values(),
                        state.len(),
                        len(state),
                        "x" in state,
                        state.contains("nope"),
                        list(state),
                        state.get("nope", 5),
                        state.exists(),
                        state.range("x", "y"),
                    )
                )
            )

    rows = [{"clear": False, "t": 0}, {"clear": True, "t": 10}]
    main = mt.stream([{"k": 1, "t": 5}, {"k": 1, "t": 10}], timestamp="t")
    out = broadcast_stream(main, mt.stream(rows, timestamp="t").broadcast(state), Methods(), key="k")
    items = [("x", [1]), ("y", {"a": None})]
    assert [r["text"] for r in out.to_pylist()] == [
        repr((items, ["x", "y"], [[1], {"a": None}], 2, 2, True, False, ["x", "y"], 5, True, [("x", [1])])),
        repr(([], [], [], 0, 0, False, False, [], 5, False, [])),
    ]


@pytest.mark.parametrize("keyed", [True, False])
def test_the_main_stream_cannot_write(keyed: bool) -> None:
    attempts = [
        lambda: limits.put("a", 1),
        lambda: limits.remove("a"),
        lambda: limits.remove("nope"),
        limits.clear,
        lambda: limits.__setitem__("a", 1),
        lambda: limits.__delitem__("a"),
    ]

    class Writes(Check):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            for attempt in attempts:
                with pytest.raises(mt.StateAccessError, match="limits") as caught:
                    attempt()
                assert "on_broadcast" in str(caught.value)
                assert caught.value.operator == "Writes"
            super().on_event(key, batch, row, ctx)

    out = broadcast_stream(events(), rules().broadcast(limits), Writes(), key="user" if keyed else None)
    assert out.to_pylist() == EXPECTED


def test_timers_see_the_latest_state_and_cannot_write() -> None:
    class Timer(Check):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.register_event_time_timer(21)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None:
            with pytest.raises(mt.StateAccessError):
                limits.put("a", 1)
            ctx.emit(user=key, limit=limits.get("a"))

    out = broadcast_stream(events(), rules().broadcast(limits), Timer(), key="user")
    assert out.to_pylist() == [{"user": "x", "limit": 30}, {"user": "y", "limit": 30}]


def test_the_broadcast_has_no_key() -> None:
    count = ValueState("count", int)

    class Reads(Check):
        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None: ...

        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            for attempt in (
                count.get,
                lambda: count.set(1),
                lambda: ctx.register_event_time_timer(5),
                lambda: ctx.register_processing_time_timer(5),
                lambda: ctx.delete_timer("x"),
                ctx.timers,
            ):
                with pytest.raises(mt.StateAccessError):
                    attempt()
            count.get()

    with pytest.raises(
        mt.StateAccessError, match=r"No key set\. This method should not be called outside of a keyed"
    ) as caught:
        broadcast_stream(events(), rules().broadcast(limits), Reads(), count, key="user").run()
    assert (caught.value.operator, caught.value.record, caught.value.key) == ("Reads", 0, None)


def test_failures_of_the_broadcast_are_rolled_back_and_located() -> None:
    class Fails(Check):
        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            super().on_broadcast(key, batch, row, ctx)
            limits.put("z", 1)
            if batch["limit"] == 30:
                raise ValueError("thirty")
            limits.remove("z")

    with pytest.raises(ValueError, match="thirty") as caught:
        broadcast_stream(events(), rules().broadcast(limits), Fails()).run()
    assert caught.value.__notes__ == ["in operator 'Fails', broadcast record 2"]
    for key in (None, "user"):
        config = mt.Config(on_error="dead_letter")
        out = broadcast_stream(events(), rules().broadcast(limits), Fails(), key=key, config=config)
        errors = out.side_output("errors")
        assert [r["limit"] for r in out.to_pylist()] == [10, None, 20, 10]
        assert [(r["message"], r["key"], r["record_number"]) for r in errors.to_pylist()] == [("thirty", None, 2)]


# ---- keyed states of all keys ----------------------------------------------------------------------------

seen = ListState("seen", str)


class Collect(BroadcastProcessFunction):
    other = ValueState("other", int, default=0)

    def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        seen.add(batch["rule"])

    def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
        def visit(key: Any, state: Any) -> None:
            assert ctx.key == key
            self.other.set(self.other.get() + 1)
            ctx.emit(at=ctx.timestamp, key=key, seen="".join(state.get()), visits=self.other.get())
            if batch["id"] == "b":
                seen.clear()

        assert ctx.apply_to_keyed_state(seen, visit) is None
        assert ctx.key is None
        ctx.apply_to_keyed_state("seen", lambda key, state: None)


def test_apply_to_keyed_state() -> None:
    out = broadcast_stream(events(), rules().broadcast(), Collect(), seen, key="user")
    assert [tuple(r.values()) for r in out.to_pylist()] == [
        (5, "x", "a", 1),
        (5, "y", "b", 1),
        (20, "x", "b", 2),
    ]


def test_apply_to_keyed_state_misused() -> None:
    class Misuse(Collect):
        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            for arguments, error, words in (
                ((seen,), TypeError, r"a keyed state and a function f\(key, state\)"),
                ((seen, 3), TypeError, r"a keyed state and a function f\(key, state\)"),
                ((3, print), TypeError, "takes a state, or its name, first, got int"),
                (("nope", print), mt.StateAccessError, "no state 'nope'"),
                ((limits, print), mt.StateAccessError, "'limits' is a broadcast state"),
            ):
                with pytest.raises(error, match=words):
                    ctx.apply_to_keyed_state(*arguments)

            def register(key: Any, state: Any) -> None:
                with pytest.raises(mt.StateAccessError):
                    ctx.register_event_time_timer(1)

            def fail(key: Any, state: Any) -> None:
                raise ValueError("inside")

            ctx.apply_to_keyed_state(seen, register)
            ctx.apply_to_keyed_state(seen, fail)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: Any) -> None: ...

    with pytest.raises(ValueError, match="inside") as caught:
        broadcast_stream(events(), rules().broadcast(limits), Misuse(), seen, key="user").run()
    assert caught.value.__notes__ == [
        "in apply_to_keyed_state, key 'x'",
        "in operator 'Misuse', broadcast record 1",
    ]

    class FromEvent(Collect):
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.apply_to_keyed_state(seen, print)

    with pytest.raises(mt.StateAccessError, match="on_broadcast"):
        broadcast_stream(events(), rules().broadcast(limits), FromEvent(), seen, key="user").run()


# ---- large tables ----------------------------------------------------------------------------------------


def test_a_table_of_100_000_rules_is_replaced_while_running() -> None:
    n = 100_000
    table = BroadcastState("table", int, int)

    class Replace(BroadcastProcessFunction):
        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            if batch["rule"] < 0:
                table.clear()
            else:
                table.put(batch["rule"], batch["value"])

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.emit(n=len(table), value=table.get(batch["k"]))

    def version(at: int, value: int) -> Any:
        return pa.table({"rule": [-1, *range(n)], "value": [0, *([value] * n)], "at": [at] * (n + 1)})

    changes = pa.concat_tables([version(0, 1), version(100, 2), version(200, 3)])
    main = pa.table({"k": [0, 7, n - 1, 5, n - 1, n], "t": [0, 50, 99, 100, 150, 250]})
    out = broadcast_stream(
        mt.stream(main, timestamp="t"), mt.stream(changes, timestamp="at").broadcast(table), Replace(), key="k"
    )
    assert [tuple(r.values()) for r in out.to_pylist()] == [(n, 1), (n, 1), (n, 1), (n, 2), (n, 2), (n, None)]


# ---- declarations ----------------------------------------------------------------------------------------


def test_the_descriptor() -> None:
    state = BroadcastState("rules", str, dtype="int32")
    assert (state.name, state.key_dtype, state.dtype, state.ttl) == ("rules", str, "int32", None)
    assert repr(state) == "BroadcastState('rules', 'utf8', dtype='int32')"
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert repr(other) == repr(state)
    with pytest.raises(mt.ConfigError, match="floats cannot be keys"):
        BroadcastState("rules", float)
    with pytest.raises(TypeError):
        BroadcastState("rules", ttl="5s")  # type: ignore[call-arg]
    assert repr(rules().broadcast(state)).startswith("<BroadcastStream <Stream rules>, BroadcastState('rules'")
    assert rules().broadcast(state).states == (state,)


def test_misuse() -> None:
    class NoBroadcast:
        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None: ...

    class Keyed(Check):
        count = ValueState("count", int)

    class Unlisted(Check):
        more = BroadcastState("more")

    class Other(Check):
        limits = BroadcastState("limits", str, str)

    class Batches(Check):
        def on_batch(self, key: Any, batch: Any, ctx: Any) -> None: ...

    broadcast = rules().broadcast(limits)
    for fn, words in (
        (NoBroadcast(), "NoBroadcast defines no on_broadcast"),
        (lambda key, batch, row, ctx: None, "an object with on_event and on_broadcast"),
        (Keyed(), "ValueState.'count', 'int64'., which belongs to a key, and its main stream has no key"),
        (Unlisted(), "which the broadcast does not list"),
        (Other(), "declares the broadcast state 'limits' in two ways"),
        (Batches(), "on_batch, which nothing calls"),
    ):
        with pytest.raises(mt.ConfigError, match=words):
            broadcast_stream(events(), broadcast, fn)
    for states, words in (
        ((ValueState("x"),), "has states such as BroadcastState"),
        ((limits, BroadcastState("limits")), "two states named"),
    ):
        with pytest.raises(mt.ConfigError, match=words):
            rules().broadcast(*states)  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="expected a broadcast such as"):
        broadcast_stream(events(), rules(), Check())  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="expected a stream"):
        broadcast_stream(3, broadcast, Check())  # type: ignore[arg-type]
    with pytest.raises(mt.ConfigError, match="keyed by user already"):
        broadcast_stream(events().key_by("user"), broadcast, Check(), key="user")
    with pytest.raises(mt.ConfigError, match="BroadcastProcessFunction; it belongs to broadcast_stream"):
        events().key_by("user").process(Check())
    with pytest.raises(mt.ConfigError, match="two states named 'limits'"):
        broadcast_stream(events(), broadcast, Check(), ValueState("limits"), key="user")


def test_unicode_nulls_and_records_of_the_broadcast_pass_through() -> None:
    names = BroadcastState("jména")

    class Echo(BroadcastProcessFunction):
        def on_broadcast(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            names.put(batch["klíč"], batch["hodnota"])
            ctx.emit_to("rules", batch)

        def on_event(self, key: Any, batch: Any, row: int, ctx: Any) -> None:
            ctx.emit(batch, value=names.get(batch["klíč"], "none"), side=ctx.side)

    changes = [{"klíč": "ž", "hodnota": None}, {"klíč": None, "hodnota": "x"}]
    main = mt.stream([{"klíč": k} for k in ("ž", None, "y")])
    out = broadcast_stream(
        main,
        mt.stream(changes).broadcast(names),
        Echo(),
        output={"klíč": str, "value": str, "side": str},
        side_outputs={"rules": {"klíč": str, "hodnota": str}},
    )
    side = out.side_output("rules")
    assert out.to_pylist() == [
        {"klíč": "ž", "value": None, "side": "left"},
        {"klíč": None, "value": "x", "side": "left"},
        {"klíč": "y", "value": "none", "side": "left"},
    ]
    assert side.to_pylist() == changes
