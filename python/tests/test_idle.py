"""Processing-time timers of the system's clock while a source waits: threads, interrupts, ends.

Nothing here asserts how fast something is: a source waits until the timer has told it to go on, so a timer that did not
fire would be a test that does not end (and is killed after GENEROUS seconds).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import grows, live_objects

import martlet as mt

GENEROUS = 60.0


class Fires(mt.ProcessFunction):
    """Sets a timer 5 ms after each record with "go"; it tells the event it is given."""

    def __init__(self, told: threading.Event) -> None:
        self.told = told

    def __deepcopy__(self, memo: Any) -> Fires:
        return self

    def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
        if batch["go"]:
            ctx.register_processing_time_timer(ctx.processing_time + 5)
        ctx.emit(key=key, what="event")

    def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
        assert ctx.processing_time >= fire_time_ms
        ctx.emit(key=key, what="timer")
        self.told.set()


def process(records: Any, fn: Any) -> mt.Stream:
    return mt.stream(records).key_by("k").process(fn, config=mt.Config(at_end="drop"))


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def wait_for(condition: Any) -> None:
    """Until it holds; fails after GENEROUS seconds."""
    end = time.monotonic() + GENEROUS
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.002)


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    importlib.import_module("pyarrow")  # which starts threads of its own, to stay
    before = threads()
    yield
    wait_for(lambda: threads() <= before)


@pytest.mark.usefixtures("no_thread_stays")
def test_timers_fire_while_a_generator_waits() -> None:
    told = threading.Event()
    order: list[str] = []

    def source() -> Iterator[dict[str, Any]]:
        yield {"k": "a", "go": True}
        assert told.wait(GENEROUS)
        order.append("source goes on")
        yield {"k": "b", "go": False}

    class Ordered(Fires):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            order.append(f"event {key}")
            super().on_event(key, batch, row, ctx)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            order.append("timer")
            super().on_timer(key, fire_time_ms, ctx)

    assert [row["what"] for row in process(source(), Ordered(told)).to_pylist()] == ["event", "timer", "event"]
    assert order == ["event a", "timer", "source goes on", "event b"]


@pytest.mark.usefixtures("no_thread_stays")
def test_again_and_again_with_tables_and_readers() -> None:
    pa = pytest.importorskip("pyarrow")
    told = threading.Event()

    def tables() -> Iterator[Any]:
        for number in range(20):
            told.clear()
            yield pa.record_batch({"k": [number], "go": [True]})
            assert told.wait(GENEROUS)

    expected = ["event", "timer"] * 20
    assert [row["what"] for row in process(tables(), Fires(told)).to_pylist()] == expected
    schema = pa.schema([("k", pa.int64()), ("go", pa.bool_())])
    reader = pa.RecordBatchReader.from_batches(schema, tables())
    assert [row["what"] for row in process(reader, Fires(told)).to_pylist()] == expected


@pytest.mark.usefixtures("no_thread_stays")
def test_timers_fire_within_a_long_chunk() -> None:
    told = threading.Event()
    seen: list[Any] = []

    class Slow(Fires):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            if key == 0:
                ctx.register_processing_time_timer(ctx.processing_time + 1)
            seen.append(key)
            if key == 5:
                # Longer than the timer needs: it fires after this record at the latest, and not before it.
                time.sleep(0.05)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            seen.append("timer")

    process([{"k": number, "go": True} for number in range(10)], Slow(told)).run()
    assert [item for item in seen if item != "timer"] == list(range(10))
    assert seen.index("timer") <= 6


@pytest.mark.usefixtures("no_thread_stays")
def test_an_exception_of_a_source_in_the_background() -> None:
    told = threading.Event()

    def source() -> Iterator[dict[str, Any]]:
        yield {"k": "a", "go": True}
        assert told.wait(GENEROUS)
        raise LookupError("gone")

    got = []
    with pytest.raises(LookupError, match="gone") as caught:
        for batch in process(source(), Fires(told)):
            got += batch.to_pylist()
    assert [row["what"] for row in got] == ["event", "timer"]
    assert "in stream 'stream', record 1" in caught.value.__notes__[0]
    assert "raise LookupError" in "".join(__import__("traceback").format_exception(caught.value))


@pytest.mark.usefixtures("no_thread_stays")
def test_an_exception_of_a_timer_while_the_source_waits() -> None:
    told, ended = threading.Event(), threading.Event()

    class Fails(Fires):
        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            raise ZeroDivisionError

    def source() -> Iterator[dict[str, Any]]:
        try:
            yield {"k": "a", "go": True}
            assert told.wait(GENEROUS)
            yield {"k": "lost", "go": True}
        finally:
            ended.set()

    with pytest.raises(ZeroDivisionError) as caught:
        process(source(), Fails(told)).run()
    assert "timer at" in caught.value.__notes__[0]
    assert not ended.is_set()
    # The source is not waited for; when it comes back it is closed, and its thread ends.
    del caught
    gc.collect()
    told.set()
    assert ended.wait(GENEROUS)


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("how", ["close", "drop"])
def test_closing_while_the_source_waits(how: str) -> None:
    told, waits, ended = threading.Event(), threading.Event(), threading.Event()
    goes_on = threading.Event()

    class Source:
        def __iter__(self) -> Iterator[dict[str, Any]]:
            try:
                yield {"k": "a", "go": True}
                waits.set()
                assert goes_on.wait(GENEROUS)
                yield {"k": "lost", "go": True}
            finally:
                ended.set()

    source = Source()
    gone = weakref.ref(source)
    out = iter(process(source, Fires(told)))
    del source
    assert [next(out).to_pylist()[0]["what"] for _ in range(2)] == ["event", "timer"]
    assert waits.wait(GENEROUS)
    if how == "close":
        out.close()  # type: ignore[attr-defined]
        out.close()  # type: ignore[attr-defined]
    del out
    gc.collect()
    assert not ended.is_set()
    goes_on.set()
    assert ended.wait(GENEROUS)
    wait_for(lambda: gone() is None)


@pytest.mark.usefixtures("no_thread_stays")
def test_closing_between_batches() -> None:
    told = threading.Event()
    out = iter(process(({"k": number, "go": True} for number in range(10**9)), Fires(told)))
    while not told.is_set():
        next(out)
    out.close()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("no_thread_stays")
def test_an_interrupt_while_the_source_waits() -> None:
    told, goes_on = threading.Event(), threading.Event()

    class Interrupts(Fires):
        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None:
            # Soon, from another thread: when this callback is over and the job waits.
            threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    def source() -> Iterator[dict[str, Any]]:
        yield {"k": "a", "go": True}
        goes_on.wait(GENEROUS)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        process(source(), Interrupts(told)).run()
    assert time.monotonic() - started < GENEROUS / 2
    goes_on.set()
    gc.collect()


@pytest.mark.usefixtures("no_thread_stays")
def test_nothing_is_kept() -> None:
    def work() -> None:
        told = threading.Event()

        def source() -> Iterator[dict[str, Any]]:
            yield {"k": "a", "go": True}
            assert told.wait(GENEROUS)

        assert len(process(source(), Fires(told)).to_pylist()) == 2

    assert grows(live_objects, work, warm_up=3, times=10) < 20


def test_no_thread_without_processing_time_timers() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    counts: set[int] = set()
    names: set[int] = set()

    class Event(mt.ProcessFunction):
        def on_event(self, key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
            counts.add(threads())
            ctx.register_event_time_timer(1)
            if batch["i"] == 3:
                ctx.register_processing_time_timer(ctx.processing_time + 10**6)
                ctx.delete_processing_time_timer(ctx.processing_time + 10**6)

        def on_timer(self, key: Any, fire_time_ms: int, ctx: mt.Context) -> None: ...

    def source() -> Iterator[dict[str, Any]]:
        for number in range(3):
            names.add(threading.get_ident())
            yield {"k": 1, "i": number}

    mt.stream(source()).key_by("k").process(Event()).run()
    assert counts == {threads()}
    assert names == {threading.get_ident()}


SUBINTERPRETER = """
    import sys
    sys.path[:] = {path!r}
    import threading, martlet as mt
    told = threading.Event()
    class Fires(mt.ProcessFunction):
        def __deepcopy__(self, memo): return self
        def on_event(self, key, batch, row, ctx):
            ctx.register_processing_time_timer(ctx.processing_time + 5)
        def on_timer(self, key, fire_time_ms, ctx):
            ctx.emit(out="timer")
            told.set()
    def source():
        yield {{"k": 1}}
        assert told.wait({generous})
    out = mt.stream(source()).key_by("k").process(Fires())
    assert out.to_pylist() == [{{"out": "timer"}}], out
    print("ok", flush=True)
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=GENEROUS, check=False)


def test_in_a_subinterpreter() -> None:
    module = next((name for name in ("_interpreters", "_xxsubinterpreters") if _exists(name)), None)
    if module is None:
        pytest.skip("this Python has no module for sub-interpreters")
    inner = textwrap.dedent(SUBINTERPRETER).format(path=sys.path, generous=GENEROUS)
    outer = f"import {module} as i\nn = i.create()\ni.run_string(n, {inner!r})\ni.destroy(n)\n"
    done = run_python(outer)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def _exists(name: str) -> bool:
    with contextlib.suppress(ImportError):
        __import__(name)
        return True
    return False


def test_a_process_ends_while_a_source_waits() -> None:
    code = """
        import sys, threading
        sys.path[:] = {path!r}
        from test_idle import Fires, process
        told = threading.Event()
        def source():
            yield {{"k": 1, "go": True}}
            threading.Event().wait()
        out = iter(process(source(), Fires(told)))
        print([next(out).to_pylist()[0]["what"] for _ in range(2)], flush=True)
        {end}
    """
    for end in ("", "out.close()", "del out", "raise SystemExit(0)"):
        path = [str(Path(__file__).parent), *sys.path]
        done = run_python(textwrap.dedent(code).format(path=path, end=end))
        assert (done.returncode, done.stdout) == (0, "['event', 'timer']\n"), (end, done.stderr)
