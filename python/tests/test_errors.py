"""What goes wrong in a user's hands: exceptions, re-entrance, interrupts, settings."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from helpers import Counter, rows, run

import martlet as mt


class BoomError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class FailsAt(mt.ProcessFunction):
    def __init__(self, at: int) -> None:
        self.at = at
        self.closed: list[int] = []

    def __deepcopy__(self, memo: Any) -> FailsAt:
        return self

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["i"] == self.at:
            raise BoomError(42)
        ctx.emit(i=batch["i"])

    def close(self) -> None:
        self.closed.append(1)


def test_the_users_exception_surfaces_with_a_note() -> None:
    with pytest.raises(BoomError) as caught:
        run(rows("a", "b", "u1"), FailsAt(2))
    assert caught.value.code == 42
    assert caught.value.__notes__ == ["in operator 'FailsAt', record 2, key 'u1'"]
    assert caught.traceback[-1].name == "on_event"
    assert caught.value.__cause__ is None


def test_what_was_emitted_before_a_failure_is_given_once_and_the_run_is_closed() -> None:
    fn = FailsAt(5)
    out = iter(mt.stream([{"k": 1, "i": i} for i in range(10)]).key_by("k").process(fn))
    seen: list[int] = []
    with pytest.raises(BoomError):
        for batch in out:
            seen.extend(batch.to_pydict()["i"])
    assert seen == [0, 1, 2, 3, 4]
    assert fn.closed == [1]
    with pytest.raises(mt.ClosedError):
        next(out)


def test_exceptions_of_open_and_close() -> None:
    class BadOpen(Counter):
        def open(self, ctx: mt.Context) -> None:
            raise BoomError(1)

    class BadClose(Counter):
        def close(self) -> None:
            raise BoomError(2)

    with pytest.raises(BoomError) as caught:
        run(rows("a"), BadOpen())
    assert caught.value.__notes__ == ["in operator 'BadOpen', open()"]
    with pytest.raises(BoomError) as caught:
        run(rows("a"), BadClose())
    assert caught.value.__notes__ == ["in operator 'BadClose', close()"]


def test_the_failure_names_the_operator_of_the_chain() -> None:
    out = mt.stream(rows("a", "b")).key_by("k").process(lambda key, batch, row, ctx: ctx.emit(batch), name="first")
    with pytest.raises(BoomError) as caught:
        out.key_by("k").process(FailsAt(1), name="second").to_pylist()
    assert caught.value.__notes__ == ["in operator 'second', record 1, key 'b'"]


def test_names_of_operators() -> None:
    keyed = mt.stream(rows("a")).key_by("k").process(lambda key, batch, row, ctx: ctx.emit(batch), name="x").key_by("k")
    with pytest.raises(mt.ConfigError, match="an operator named 'x' already"):
        keyed.process(Counter(), name="x")
    assert "Counter-2" in repr(mt.stream(rows("a")).key_by("k").process(Counter()).key_by("key").process(Counter()))


def test_using_a_running_stream_from_inside() -> None:
    holder: list[Any] = []

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        for use in (lambda: next(holder[0]), lambda: holder[0]._output._run._job.close()):
            with pytest.raises(mt.BusyError, match="the stream is running"):
                use()
        ctx.emit(batch)

    holder.append(iter(mt.stream(rows("a")).key_by("k").process(fn)))
    assert next(holder[0]).to_pylist() == rows("a")


def test_using_a_running_stream_from_another_thread() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def fn(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        inside.set()
        assert go_on.wait(10)
        ctx.emit(batch)

    out = iter(mt.stream(rows("a")).key_by("k").process(fn))
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(next(out).to_pylist()))
    thread.start()
    assert inside.wait(10)
    try:
        with pytest.raises(mt.BusyError):
            next(out)
    finally:
        go_on.set()
        thread.join()
    assert result == [rows("a")]


def test_an_iteration_that_is_left_closes_the_run() -> None:
    fn = FailsAt(-1)
    out = iter(mt.stream(iter(rows("a", "b"))).key_by("k").process(fn))
    next(out)
    del out
    assert fn.closed == [1]


INTERRUPTED = """
    import os, signal, threading, time
    import martlet as mt

    def endless():
        while True:
            yield {"k": 1}

    class Slow(mt.ProcessFunction):
        def on_event(self, key, batch, row, ctx):
            time.sleep(0.001)
            ctx.emit(batch)
        def close(self):
            print("closed", flush=True)

    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        SOURCE
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "work",
    [
        "mt.stream(endless()).key_by('k').process(Slow()).run()",
        "mt.stream([{'k': 1}] * 4000).key_by('k').process(Slow()).run()",
    ],
)
def test_ctrl_c(work: str) -> None:
    code = textwrap.dedent(INTERRUPTED).replace("SOURCE", work)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.split() == ["closed", "interrupted"], done.stderr


def test_settings() -> None:
    assert mt.Config() == mt.Config(profile="dev-local", null_keys="raise", null_timestamps="raise")
    for settings, message in (
        ({"profile": "cloud"}, "profile='cloud' is not allowed; use 'dev-local'"),
        ({"null_keys": "keep"}, "null_keys='keep' is not allowed; use 'raise' or 'drop'"),
        ({"null_timestamps": 3}, "use 'raise' or 'drop' or 'process'"),
        (
            {"threads": 4},
            "unknown setting 'threads'; the settings are 'profile', 'on_error', 'late', ",
        ),
        ({"name": ""}, "is not a name"),
    ):
        with pytest.raises(mt.ConfigError, match=message):
            mt.Config(**settings)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="immutable"):
        mt.Config().name = "x"
    with pytest.raises(mt.ConfigError, match="one job has one config"):
        mt.stream(rows("a")).key_by("k").process(Counter(), config=mt.Config(null_keys="drop")).run(config=mt.Config())


def test_the_profile_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARTLET_PROFILE", "nowhere")
    with pytest.raises(mt.ConfigError, match="MARTLET_PROFILE='nowhere' is not allowed"):
        mt.Config()
    assert mt.Config(profile="dev-local").profile == "dev-local"


def test_the_tree_of_errors() -> None:
    for name in mt.errors.__all__:
        base = UserWarning if name.endswith("Warning") else mt.MartletError
        assert issubclass(getattr(mt.errors, name), base)
        assert getattr(mt, name) is getattr(mt.errors, name)
    error = mt.SchemaError("bad", operator="x", record=3, key="'u'")
    assert str(error) == "bad (operator 'x', record 3, key 'u')"
