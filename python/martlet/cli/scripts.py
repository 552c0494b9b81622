"""`martlet run` and `martlet explain`: scripts, run as `python script.py` would."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from .. import explain as plans
from .._engine import RecordBatch, Schema
from ..config import Config
from ..errors import ConfigError, MartletError
from ..graph import OperatorNode
from ..report import RunReport
from ..stopping import exit_on_sigterm
from ..stream import Stream

__all__ = ["explain", "run"]


def run(options: argparse.Namespace) -> int:
    """Runs a script with what the options say as its defaults."""
    if options.state_dir is not None and options.profile is None:
        options.profile = os.environ.get("MARTLET_PROFILE") or "single-node-durable"
    if options.state_dir is not None and options.profile != "single-node-durable":
        raise ConfigError(
            f"--state-dir is for --profile single-node-durable, and the profile is {options.profile!r}; a job of "
            "another profile is given its state_dir= by the script"
        )
    settings = {
        "MARTLET_PROFILE": options.profile,
        "MARTLET_STATE_DIR": options.state_dir,
        "MARTLET_PARALLELISM": options.parallelism,
        "MARTLET_PROGRESS": None if options.progress is None else int(options.progress),
    }
    os.environ.update({name: str(value) for name, value in settings.items() if value is not None})
    exit_on_sigterm()
    try:
        _run_script(options)
    except SystemExit as error:
        return _code(error)
    except (MartletError, KeyboardInterrupt):
        raise
    except Exception as error:
        _print_script_error(error, options)
        return 1
    return 0


def explain(options: argparse.Namespace) -> int:
    """Runs a script with streams that say what they would do, and give nothing."""
    shown: list[object] = []

    def show(stream: Stream, config: Config | None) -> None:
        if stream._edge in shown:
            return
        render = plans.as_mermaid if options.format == "mermaid" else plans.as_text
        text = render(stream._edge, config or stream._config)
        print(("\n" if shown else "") + text, flush=True)
        shown.append(stream._edge)

    def start(stream: Stream, config: Config | None = None) -> Any:
        show(stream, config)
        return _Nothing(stream)

    def run_to_sink(
        stream: Stream, sink: Any = None, config: Config | None = None, *, side_outputs: Any = None
    ) -> RunReport:
        show(stream, config)
        return _Nothing(stream).report()

    def start_in_thread(
        stream: Stream, sink: Any = None, config: Config | None = None, *, side_outputs: Any = None
    ) -> Any:
        show(stream, config)
        return _NoJob(stream)

    with _replaced(Stream, _start=start, run=run_to_sink, start=start_in_thread):
        try:
            _run_script(options)
        except SystemExit:
            pass
        except Exception as error:
            if not shown:
                if isinstance(error, MartletError):
                    raise
                _print_script_error(error, options)
                return 1
            # Without results, the script need not come to its end.
            print(
                f"martlet: the script stopped at {_place(error, options.script)}, where it has no results: {error!r}",
                file=sys.stderr,
            )
    if not shown:
        print("martlet: the script runs no stream", file=sys.stderr)
    return 0 if shown else 1


class _Nothing:
    """The output of a run that does not take place."""

    def __init__(self, stream: Stream) -> None:
        node, tag = stream._edge
        declared = None
        if isinstance(node, OperatorNode):
            declared = node.operator.output if tag is None else node.operator.side_outputs.get(tag)
        self._schema = declared or Schema({})
        self.job_name = "explain"

    def peek(self) -> None: ...

    def close(self) -> None: ...

    def schema(self) -> Schema:
        return self._schema

    def batches(self, min_rows: int) -> Iterator[RecordBatch]:
        return iter(())

    def report(self) -> RunReport:
        counters = [field.name for field in dataclasses.fields(RunReport) if field.default is dataclasses.MISSING]
        return RunReport(**dict.fromkeys(counters, 0))


class _NoJob:
    """What `Stream.start` gives for a run that does not take place."""

    is_running = False

    def __init__(self, stream: Stream) -> None:
        self.name = "explain"
        self._report = _Nothing(stream).report()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def checkpoint(self, timeout_s: float | None = None) -> int:
        return 0

    def savepoint(self, path: object, timeout_s: float | None = None) -> int:
        return 0

    def stop(self, timeout_s: float | None = None) -> RunReport:
        return self._report

    wait = stop


@contextlib.contextmanager
def _replaced(owner: type, **methods: Any) -> Iterator[None]:
    """These methods in the place of the class's own."""
    before = {name: getattr(owner, name) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(owner, name, method)


def _run_script(options: argparse.Namespace) -> Mapping[str, Any]:
    script = Path(options.script)
    if not script.is_file():
        raise ConfigError(f"there is no script {options.script!r}")
    sys.argv = [options.script, *options.arguments]
    sys.path.insert(0, str(script.resolve().parent))
    return runpy.run_path(options.script, run_name="__main__")


def _code(error: SystemExit) -> int:
    """As the interpreter takes what sys.exit was given."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return 1


def _print_script_error(error: Exception, options: argparse.Namespace) -> None:
    """With the traceback of the script's own code, unless all of it is asked for."""
    trace = error.__traceback__
    if not options.traceback:
        script = str(Path(options.script))
        while trace is not None and trace.tb_frame.f_code.co_filename != script:
            trace = trace.tb_next
    traceback.print_exception(error.with_traceback(trace or error.__traceback__))


def _place(error: Exception, script: str) -> str:
    lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == script]
    return f"line {lines[-1]}" if lines else "its beginning"
