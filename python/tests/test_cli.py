"""The command line: `martlet state`, `martlet run`, `martlet explain`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import martlet as mt
from martlet.cli import main


class Tally(mt.ProcessFunction):
    count = mt.ValueState("count", int)
    marks = mt.MapState("marks", "utf8", int)

    def on_event(self, key, batch, row, ctx):
        self.count.set((self.count.get() or 0) + 1)
        self.marks.put(f"m{batch['v']}", batch["v"])
        ctx.register_processing_time_timer(2**50)

    def on_timer(self, key, fire_time_ms, ctx): ...


def keep(path: Path, rows: list[tuple[Any, int]], name: str = "Tally") -> str:
    out = mt.apply_process_function(mt.stream([{"k": k, "v": v} for k, v in rows]), "k", Tally(), name=name)
    clock = mt.ManualClock(1_700_000_000_000)
    out.run(None, config=mt.Config(state_dir=path, checkpoint_interval=None, at_end="keep", clock=clock))
    return str(path)


@pytest.fixture
def kept(tmp_path):
    return keep(tmp_path / "job", [("a", 1), ("b", 2), ("a", 3)])


def test_ls_says_what_a_checkpoint_is(kept, capsys):
    assert main(["state", "ls", kept]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "checkpoint 1 of job 'stream', taken 2023-11-14 22:13:20.000 UTC"
    assert lines[3] == "source 'stream': 3 records, ended"
    assert lines[4] == "operator 'Tally': process, key: k (utf8), at the end of event time"
    assert [line.split() for line in lines[6:]] == [
        ["operator", "state", "kind", "map_key", "dtype", "ttl_ms", "keys", "entries"],
        ["-" * 8, "-----", "------", "-------", "-----", "------", "----", "-------"],
        ["Tally", "count", "value", "int64", "2", "2"],
        ["Tally", "marks", "map", "utf8", "int64", "2", "3"],
        ["Tally", "timers", "int64", "2"],
    ]
    assert main(["state", "ls", kept, "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[1]["map_key"] == "utf8" and rows[2] == {**dict.fromkeys(rows[1]), **rows[2]}


def test_show_gives_rows_in_every_format(kept, tmp_path, capsys):
    assert main(["state", "show", kept, "--state", "count"]) == 0
    assert capsys.readouterr().out == "k  value\n-  -----\na      2\nb      1\n"
    assert main(["state", "show", kept, "--state", "marks", "--key", "a", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "k,map_key,value\na,m1,1\na,m3,3\n"
    assert main(["state", "show", kept, "--timers", "--limit", "1", "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out) == {"k": "a", "domain": "processing", "time": 2**50, "name": None}
    parquet = pytest.importorskip("pyarrow.parquet")
    file = str(tmp_path / "marks.parquet")
    assert main(["state", "show", kept, "--state", "marks", "--format", "parquet", "--output", file]) == 0
    assert parquet.read_table(file).num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--state", "cuont"], "there is no state 'cuont' (did you mean 'count'?)"),
        (["--state", "count", "--operator", "Taly"], "there is no operator 'Taly' (did you mean 'Tally'?)"),
        (
            [],
            "say what to show: --timers, or --state and a name. The states are: 'count' of 'Tally', 'marks' of 'Tally'",
        ),
        (["--state", "count", "--key", "a", "b"], "--key a b: the key has 1 parts: k (utf8)"),
        (["--state", "count", "--timers"], "leave state= out"),
    ],
)
def test_errors_are_one_line_on_standard_error(kept, capsys, arguments, message):
    assert main(["state", "show", kept, *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err and not captured.out
    assert main(["state", "show", kept, *arguments, "--traceback"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_keys_of_other_types(tmp_path, capsys):
    for key, text in ((5, "5"), (True, "true"), (b"\0\1", "AAE=")):
        path = keep(tmp_path / f"job-{text}", [(key, 1)])
        assert main(["state", "show", path, "--state", "count", "--key", text, "--format", "csv"]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["state", "show", str(tmp_path / "job-5"), "--state", "count", "--key", "five"]) == 2
    assert "--key five: the key column 'k' is int64" in capsys.readouterr().err


def test_diff_says_which_keys_changed(kept, tmp_path, capsys):
    other = keep(tmp_path / "other", [("a", 1), ("a", 4), ("a", 3), ("c", 2)])
    assert main(["state", "diff", kept, kept]) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert main(["state", "diff", kept, other]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "operator 'Tally', state 'count': 1 added, 1 removed, 1 changed",
        "  ~ a: 2 → 3",
        "  - b: 1",
        "  + c: 1",
        "operator 'Tally', state 'marks': 1 added, 1 removed, 1 changed",
        "  ~ a: 2 entries → 3 entries",
        "  - b: m2, 2",
        "  + c: m2, 2",
        "operator 'Tally', the timers: 1 added, 1 removed",
        f"  - b: processing, {2**50}, ",
        f"  + c: processing, {2**50}, ",
    ]
    assert main(["state", "diff", kept, other, "--state", "count", "--format", "jsonl", "--limit", "1"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "operator": "Tally", "state": "count", "change": "changed", "key": ["a"], "before": [[2]], "after": [[3]]
    }  # fmt: skip
    assert main(["state", "diff", kept, keep(tmp_path / "named", [("a", 1)], "Other"), "--limit", "1"]) == 1
    out = capsys.readouterr().out
    assert "operator 'Tally', state 'count' (only in A): 2 removed" in out and "… and 1 more" in out
    assert main(["state", "diff", kept, keep(tmp_path / "ints", [(1, 1)])]) == 1
    assert "other columns: k utf8, value int64 → k int64, value int64" in capsys.readouterr().out
    assert main(["state", "diff", kept, other, "--state", "cuont"]) == 2


# ---- scripts

SCRIPT = """
import sys
import martlet as mt

class Counter(mt.ProcessFunction):
    count = mt.ValueState("count", int)

    def on_event(self, key, batch, row, ctx):
        self.count.set((self.count.get() or 0) + 1)
        ctx.emit(k=key, n=self.count.get())

rows = [{"k": "a"}, {"k": "b"}, {"k": "a"}]
out = mt.apply_process_function(mt.stream(rows), "k", Counter(), output={"k": "utf8", "n": "int64"})
print("arguments", sys.argv[1:], __name__)
print("rows", out.to_pylist())
out.run(print)
if "fail" in sys.argv:
    raise KeyError("of the script")
if "exit" in sys.argv:
    sys.exit(7)
"""


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "martlet", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "counter.py"
    path.write_text(SCRIPT)
    return str(path)


def test_run_runs_a_script_as_python_would(script):
    done = command("run", script, "exit", "--limit")
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines()[0] == "arguments ['exit', '--limit'] __main__"
    assert "{'k': 'a', 'n': 2}" in done.stdout
    failed = command("run", script, "fail")
    assert failed.returncode == 1
    trace = failed.stderr
    assert "KeyError: 'of the script'" in trace and "runpy" not in trace and "counter.py" in trace
    assert command("run", "nowhere.py").stderr == "martlet: there is no script 'nowhere.py'\n"


def test_run_says_settings_through_the_environment(script, tmp_path):
    state = str(tmp_path / "state")
    first = command("run", "--state-dir", state, "--no-progress", script)
    assert first.returncode == 0, first.stderr
    assert "[{'k': 'a', 'n': 1}" in first.stdout
    # The second consumption, and a second run, find the job at its end.
    assert "rows []" in command("run", "--state-dir", state, script).stdout
    listed = command("state", "show", state, "--state", "count", "--format", "csv")
    assert listed.stdout == "k,value\na,2\nb,1\n"
    wrong = command("run", "--profile", "dev-local", "--state-dir", state, script)
    assert wrong.returncode == 2 and "--state-dir is for --profile single-node-durable" in wrong.stderr
    wrong = command("run", "--parallelism", "0", script)
    assert wrong.returncode == 2 and "MARTLET_PARALLELISM" in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_a_run_cleanly(tmp_path, number, code):
    path = tmp_path / "endless.py"
    path.write_text(
        "import atexit, itertools, martlet as mt\n"
        "atexit.register(lambda: print('clean', flush=True))\n"
        "def rows():\n"
        "    for n in itertools.count():\n"
        "        if n == 1000: print('running', flush=True)\n"
        "        yield {'k': n % 5}\n"
        "mt.apply_process_function(mt.stream(rows()), 'k', lambda k, b, r, c: c.emit(b)).run(lambda b: None)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "martlet", "run", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "clean\n"), err
    assert "Traceback" not in err


def test_explain_shows_plans_and_runs_nothing(script, tmp_path):
    done = command("explain", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("process 'Counter' by k") == 1 and "rows []" in done.stdout
    assert "flowchart" in command("explain", "--format", "mermaid", script).stdout
    sink = tmp_path / "sink.py"
    sink.write_text(SCRIPT.replace("out.run(print)", "out.run(mt.JsonlSink('written'))\nout.to_pylist()[5]"))
    done = subprocess.run(
        [sys.executable, "-m", "martlet", "explain", str(sink)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0 and not (tmp_path / "written").exists()
    assert "the script stopped at line 17, where it has no results: IndexError" in done.stderr
    handle = tmp_path / "handle.py"
    handle.write_text(
        SCRIPT.replace(
            "out.run(print)",
            "with out.start(config=mt.Config(state_dir='state')) as job:\n    job.checkpoint()\n    print(job.wait())",
        ).replace("out.to_pylist()", "None")
    )
    done = command("explain", str(handle))
    assert done.returncode == 0 and "checkpoints in state" in done.stdout and not done.stderr, done.stderr
    nothing = tmp_path / "nothing.py"
    nothing.write_text("print('nothing')\n")
    done = command("explain", str(nothing))
    assert done.returncode == 1 and done.stderr == "martlet: the script runs no stream\n"


def test_help_and_version():
    assert command("--version").stdout == f"martlet {mt.__version__}\n"
    assert "state show PATH" not in command("--help").stdout
    for arguments in (["state", "--help"], ["state", "show", "--help"], ["run", "--help"]):
        assert command(*arguments).returncode == 0
    assert command("state").returncode == 2
