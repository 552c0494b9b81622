"""Tables of SQLite and PostgreSQL: exactly once over crashes, upserts, types, and what can be wrong."""

from __future__ import annotations

import datetime
import decimal
import importlib.util
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import postgres_server
import pytest
from sinks_and_sources import Crash, Engine, abandon, batch, dying, failing, records, run_to_the_end

import martlet as mt
from martlet.sinks.outbox import Outbox

pytestmark = pytest.mark.usefixtures("without_fsync")


class Database:
    """What the tests do with a database; `sink(**options)` writes to its table `out`."""

    name = ""

    def sink(self, **options: Any) -> Any:
        raise NotImplementedError

    def query(self, text: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def rows(self, order: str = "id") -> list[dict[str, Any]]:
        return [{"id": found, "text": text} for found, text in self.query(f"SELECT id, text FROM out ORDER BY {order}")]


class Sqlite(Database):
    name = "SqliteSink"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "out.db"

    def sink(self, **options: Any) -> Any:
        return mt.SqliteSink(self.path, "out", **options)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(text).fetchall()


class Postgres(Database):
    name = "PostgresSink"

    def __init__(self, server: postgres_server.Server) -> None:
        self.server = server
        self.query("DROP TABLE IF EXISTS out, martlet_commits")

    def sink(self, **options: Any) -> Any:
        return mt.PostgresSink(self.server.dsn, "out", **options)

    def query(self, text: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.server.dsn, autocommit=True) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def postgres() -> Iterator[postgres_server.Server]:
    if postgres_server.programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install 'martlet[postgres]'")
    with postgres_server.server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Sqlite(tmp_path)
    return Postgres(request.getfixturevalue("postgres"))


@pytest.mark.parametrize("key", [None, "id"], ids=["append", "upsert"])
@pytest.mark.parametrize("seed", range(8))
def test_killed_between_any_two_calls(database: Database, key: str | None, seed: int, tmp_path: Path) -> None:
    rows = records(80)
    lives = run_to_the_end(lambda: database.sink(key=key), rows, tmp_path, seed)
    assert database.rows() == rows, f"seed {seed}, {lives} lives"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_the_delivery(database: Database, after: bool, tmp_path: Path) -> None:
    """A commit that the target has, and the outbox does not know of, is not repeated."""
    rows = records(30)
    engine, rng = Engine(), random.Random(3)

    for _ in range(40):
        sink = database.sink()
        real: Callable[..., None] = sink._deliver

        def deliver(mark: Any, frames: Any, real: Callable[..., None] = real) -> None:
            if after:
                real(mark, frames)
            raise Crash

        if rng.random() < 0.7:
            sink._deliver = deliver
        try:
            engine.live(sink, rows, tmp_path, rng, dying(rng.randint(5, 20)))
        except Crash:
            abandon(sink)
    engine.live(database.sink(), rows, tmp_path, rng, dying(10**9))
    assert database.rows() == rows


def test_a_run_is_one_transaction(database: Database) -> None:
    report = mt.stream(records(5000), name="orders").run(database.sink())
    assert report.records_out == 5000 and database.rows() == records(5000)
    # Without a key a second run adds.
    mt.stream(records(1), name="orders").run(database.sink())
    assert len(database.rows()) == 5001
    assert [row[:2] for row in database.query("SELECT job, sink FROM martlet_commits")] == [
        ("orders", database.sink().name)
    ]


def test_a_run_that_fails_leaves_nothing(database: Database) -> None:
    def broken() -> Any:
        yield from records(5)
        raise ZeroDivisionError

    mt.stream(records(1)).run(database.sink())
    with pytest.raises(ZeroDivisionError):
        mt.stream(broken()).run(database.sink())
    assert database.rows() == records(1)


def test_the_last_row_of_a_key_wins(database: Database) -> None:
    rows = [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}, {"id": 1, "text": "c"}]
    mt.stream(rows).run(database.sink(key=["id"]))
    mt.stream([{"id": 2, "text": "d"}, {"id": 3, "text": None}]).run(database.sink(key="id"))
    assert database.rows() == [{"id": 1, "text": "c"}, {"id": 2, "text": "d"}, {"id": 3, "text": None}]
    mt.stream([{"a": 1, "b": "x"}, {"a": 1, "b": "x"}, {"a": 1, "b": "y"}]).run(other_table(database, key=["a", "b"]))
    assert database.query('SELECT a, b FROM "o""ther" ORDER BY b') == [(1, "x"), (1, "y")]


def other_table(database: Database, **options: Any) -> Any:
    if isinstance(database, Sqlite):
        return mt.SqliteSink(database.path, 'o"ther', **options)
    database.query('DROP TABLE IF EXISTS "o""ther"')
    assert isinstance(database, Postgres)
    return mt.PostgresSink(database.server.dsn, 'public.o"ther', **options)


def committed(database: Database, state: Path, numbers: range, **options: Any) -> None:
    sink = database.sink(**options)
    sink.open("job", state)
    sink.recover(numbers[0] - 1 or None)
    for number in numbers:
        sink.write(batch(records(10, number * 10 - 10)))
        sink.prepare(number)
        sink.commit(number)
        sink.commit(number)
    sink.close()


def test_an_older_checkpoint(database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    committed(database, tmp_path, range(1, 4))
    with pytest.raises(
        mt.SinkError, match=r"the output of job 'job' up to checkpoint 3, and the job goes on from .* 1: .*"
    ):
        committed(database, tmp_path, range(2, 3))
    assert database.rows() == records(30)
    committed(database, tmp_path, range(2, 4), rewind="accept")
    assert "accepted by rewind='accept'" in caplog.text
    assert len(database.rows()) == 50
    # In a new state directory, as after restoring a savepoint.
    with pytest.raises(mt.SinkError, match="up to checkpoint 3"):
        committed(database, tmp_path / "new", range(2, 3))
    committed(database, tmp_path / "newer", range(4, 5))
    assert len(database.rows()) == 60


def test_an_older_checkpoint_with_a_key(database: Database, tmp_path: Path) -> None:
    committed(database, tmp_path, range(1, 4), key="id")
    committed(database, tmp_path, range(2, 6), key="id")
    assert database.rows() == records(50)


def test_two_jobs_and_one_table(database: Database, tmp_path: Path) -> None:
    for name, start in (("a", 0), ("b", 5)):
        sink = database.sink()
        sink.open(name, tmp_path / name)
        sink.recover(None)
        sink.write(batch(records(5, start)))
        sink.prepare(1)
        sink.commit(1)
        sink.close()
    assert database.rows() == records(10)


def test_a_second_sink_on_one_state_directory(database: Database, tmp_path: Path) -> None:
    first = database.sink()
    first.open("job", tmp_path)
    with pytest.raises(
        mt.SinkError, match=rf"{database.name} '.*out' of job 'job', .* is being written by another process"
    ):
        database.sink().open("job", tmp_path)
    first.close()
    with pytest.raises(mt.SinkError, match="is not open"):
        first.prepare(1)


def test_damaged_outboxes(database: Database, tmp_path: Path) -> None:
    sink = database.sink()
    sink.open("job", tmp_path)
    sink.recover(None)
    for _ in range(3):
        sink.write(batch(records(10)))
    sink.prepare(1)
    abandon(sink)
    path = next(tmp_path.glob("sinks/*/0000000001"))
    whole = path.read_bytes()
    changed = bytes([whole[100] ^ 1])
    for content, how in (
        (whole[:-1], "the checksum of part 4 is wrong"),
        (whole[:-16], "it ends after 4 parts"),
        (whole[:100] + changed + whole[101:], r"the checksum of part \d is wrong"),
        (b"x" + whole, "it does not begin as one"),
    ):
        path.write_bytes(content)
        sink = database.sink()
        sink.open("job", tmp_path)
        with pytest.raises(mt.SinkError, match=rf"0000000001 is damaged: {how}"):
            sink.recover(1)
        sink.close()
        assert database.query("SELECT count(*) FROM martlet_commits") == [(0,)]
    path.write_bytes(whole)
    sink = database.sink()
    sink.open("job", tmp_path)
    sink.recover(1)
    sink.close()
    assert len(database.rows()) == 30


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_outboxes_killed_in_any_call_to_the_file_system(after: bool, tmp_path: Path) -> None:
    rows, at, is_over = records(12), 0, False
    while not is_over:
        at += 1
        database, engine = Sqlite(tmp_path / f"{at}"), Engine()
        database.path.parent.mkdir()
        sink = database.sink()
        with pytest.MonkeyPatch.context() as monkeypatch:
            log = failing(monkeypatch, at, Crash, after=after)
            try:
                engine.live(sink, rows, tmp_path / f"{at}", random.Random(2), dying(10**9))
            except Crash:
                abandon(sink)
            is_over = len(log) < at
        while not engine.is_done:
            engine.live(database.sink(), rows, tmp_path / f"{at}", random.Random(at), dying(10**9))
        assert database.rows() == rows, f"call {at}"
    assert at > 20


ROW: dict[str, Any] = {
    "i8": -128,
    "u32": 2**32 - 1,
    "i64": -(2**63),
    "f": 0.1,
    "b": True,
    "s": "tab\t nl\n bs\\ \\N ü '\"",
    "x": b"\x00\\\n\xff",
    "t": datetime.datetime(2026, 1, 2, 3, 4, 5, 678900),
    "z": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "d": datetime.date(2026, 1, 2),
    "c": datetime.time(1, 2, 3, 4),
    "u": datetime.timedelta(days=-1, microseconds=5),
    "m": decimal.Decimal("-1.10"),
    "l": [1, None],
    "r": {"x": "a\tb\\"},
    "n": None,
}
ROW_SCHEMA: dict[str, Any] = {
    "i8": "int8", "u32": "uint32", "i64": int, "f": float, "b": bool, "s": str, "x": bytes, "t": "timestamp[us]",
    "z": "timestamp[us, UTC]", "d": datetime.date, "c": datetime.time, "u": datetime.timedelta,
    "m": "decimal128(10, 2)", "l": list[int], "r": {"x": str}, "n": str,
}  # fmt: skip


def test_types(database: Database) -> None:
    mt.stream([ROW, {}], schema=ROW_SCHEMA).run(database.sink())
    expected = dict(ROW)
    if isinstance(database, Sqlite):
        expected |= {name: ROW[name].isoformat() for name in ("t", "z", "d", "c")}
        expected |= {"m": "-1.10", "l": "[1,null]", "r": '{"x":"a\\tb\\\\"}', "b": 1, "u": -86_399_999_995}
    assert database.query("SELECT * FROM out") == [tuple(expected.values()), (None,) * len(ROW)]


def test_numbers_and_text_that_do_not_fit(database: Database) -> None:
    if isinstance(database, Sqlite):
        with pytest.raises(
            mt.ValueRangeError, match="table 'out', column 'u': 9223372036854775808 is outside the range"
        ):
            mt.stream([{"u": 2**63}], schema={"u": "uint64"}).run(database.sink())
        return
    mt.stream([{"u": 2**64 - 1}], schema={"u": "uint64"}).run(database.sink())
    assert database.query("SELECT u FROM out") == [(2**64 - 1,)]
    with pytest.raises(mt.ValueRangeError, match=r"table 'out', column 's': .*cannot hold the character NUL"):
        mt.stream([{"s": "a\0"}]).run(database.sink())


def test_a_table_that_does_not_fit(database: Database) -> None:
    database.query("CREATE TABLE out (id INTEGER, more INTEGER)")
    with pytest.raises(mt.SinkError, match=r"table 'out': checkpoint 1 cannot be committed: .*text"):
        mt.stream(records(1)).run(database.sink())
    with pytest.raises(mt.SinkError, match=r"table 'out': checkpoint 1 cannot be committed: .*ON CONFLICT"):
        mt.stream([{"id": 1}]).run(database.sink(key="id"))
    mt.stream([{"id": 1}]).run(database.sink())
    assert database.query("SELECT * FROM out") == [(1, None)]
    with pytest.raises(mt.MissingColumnError, match="there is no key column 'x'; the columns are id, text"):
        mt.stream(records(1)).run(database.sink(key="x"))


def test_options(database: Database) -> None:
    for options, message in (
        ({"key": []}, "key="),
        ({"key": ["a", "a"]}, "key="),
        ({"rewind": "maybe"}, "'raise' or 'accept'"),
    ):
        with pytest.raises(mt.ConfigError, match=message):
            database.sink(**options)
    assert isinstance(database.sink(), mt.Sink)


def test_databases_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(mt.SinkError, match=r"SqliteSink: .*nowhere/x\.db, table 't': cannot be opened: unable to open"):
        mt.stream(records(1)).run(mt.SqliteSink(tmp_path / "nowhere" / "x.db", "t"))
    if importlib.util.find_spec("psycopg") is not None:
        with pytest.raises(mt.SinkError, match="PostgresSink: table 't': the database cannot be used"):
            mt.stream(records(1)).run(mt.PostgresSink(f"host={tmp_path}", "t"))


def test_a_locked_database(tmp_path: Path) -> None:
    database = Sqlite(tmp_path)
    database.query("CREATE TABLE out (id INTEGER, text TEXT)")
    sink = database.sink(timeout_s=0.05)
    sink.open("job", tmp_path)
    sink.recover(None)
    sink.write(batch(records(3)))
    sink.prepare(1)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(mt.SinkError, match="database is locked"):
            sink.commit(1)
    sink.commit(1)
    sink.close()
    assert database.rows() == records(3)


def test_a_server_that_is_stopped(postgres: postgres_server.Server, tmp_path: Path) -> None:
    database = Postgres(postgres)
    sink = database.sink()
    sink.open("job", tmp_path)
    sink.recover(None)
    sink.write(batch(records(3)))
    sink.prepare(1)
    sink.commit(1)
    sink.write(batch(records(3, 3)))
    postgres.stop()
    sink.prepare(2)
    with pytest.raises(mt.SinkError, match="checkpoint 2 cannot be committed"):
        sink.commit(2)
    postgres.start()
    sink.commit(2)
    sink.close()
    assert database.rows() == records(6)


def test_an_outbox_keeps_what_it_is_given(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "box", "a test")
    frames = [random.Random(n).randbytes(n * 1000) for n in range(5)]
    for frame in frames:
        outbox.append(frame)
    outbox.prepare(7)
    outbox.append(b"not prepared")
    outbox.prepare(8)
    outbox.append(b"open")
    assert outbox.prepared() == [7, 8] and list(outbox.frames(7)) == frames
    outbox.discard_after(7)
    assert outbox.prepared() == [7] and outbox.is_empty
    outbox.drop(7)
    outbox.prepare(9)
    assert outbox.prepared() == []
    outbox.close()
