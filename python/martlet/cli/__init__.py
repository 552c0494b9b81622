"""The command line: `martlet` and `python -m martlet`.

    martlet state ls PATH                     what a checkpoint holds
    martlet state show PATH --state NAME      the rows of a state, or of the timers
    martlet state diff A B                    what changed between two checkpoints
    martlet run script.py [arguments]         runs a script
    martlet explain script.py [arguments]     the plans of the streams that a script would run

Exit codes: 0; 1 when `diff` found a difference, when `explain` found no stream or a script raised; 2 for errors; 128
and the signal's number when a signal ended a run; of `run`, what the script says.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from .. import __version__
from ..errors import MartletError

__all__ = ["main"]

FORMATS = ("table", "jsonl", "csv", "parquet")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.command(options))
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Nothing more is written, at the exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("martlet: interrupted", file=sys.stderr)
        return 130
    except (MartletError, OSError, ImportError) as error:
        if options.traceback:
            traceback.print_exc()
        else:
            print(f"martlet: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    # Their modules are loaded when they are called.
    def state_ls(options: argparse.Namespace) -> int:
        from .state import ls

        return ls(options)

    def state_show(options: argparse.Namespace) -> int:
        from .state import show

        return show(options)

    def state_diff(options: argparse.Namespace) -> int:
        from .diff import diff

        return diff(options)

    def run(options: argparse.Namespace) -> int:
        from .scripts import run

        return run(options)

    def explain(options: argparse.Namespace) -> int:
        from .scripts import explain

        return explain(options)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--traceback", action="store_true", help="show where an error comes from")
    parser = argparse.ArgumentParser(prog="martlet", description="Stateful process functions over Arrow streams.")
    parser.add_argument("--version", action="version", version=f"martlet {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    state = commands.add_parser("state", help="look into checkpoints and savepoints")
    kinds = state.add_subparsers(title="commands", required=True, metavar="COMMAND")
    one = kinds.add_parser("ls", parents=[common], help="the operators and their states")
    _add_path(one)
    one.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    one.add_argument("--output", metavar="FILE", help="where to; default: standard output")
    one.set_defaults(command=state_ls)

    one = kinds.add_parser("show", parents=[common], help="the rows of a state, or of the timers")
    _add_path(one)
    one.add_argument("--operator", metavar="NAME", help="whose; default: the only one that has it")
    one.add_argument("--state", metavar="NAME", help="which state; default: the only one")
    one.add_argument("--timers", action="store_true", help="the pending timers instead")
    one.add_argument("--key", nargs="+", metavar="VALUE", help="only of this key: a value for each of its columns")
    one.add_argument(
        "--limit", type=_count, metavar="N", help="only the first N rows; of a table 100 by default, 0: all"
    )
    one.add_argument("--format", choices=FORMATS, default="table", help="default: table")
    one.add_argument("--output", metavar="FILE", help="where to; default: standard output")
    one.set_defaults(command=state_show)

    one = kinds.add_parser("diff", parents=[common], help="what changed from one to another")
    one.add_argument("before", metavar="A", help="a checkpoint, a savepoint or a state directory")
    one.add_argument("after", metavar="B", help="another one")
    one.add_argument("--operator", metavar="NAME", help="only of this operator")
    one.add_argument("--state", metavar="NAME", help="only of this state")
    one.add_argument(
        "--limit", type=_count, default=10, metavar="N", help="keys shown of each state; default: 10, 0: all"
    )
    one.add_argument("--format", choices=("table", "jsonl"), default="table", help="jsonl: a line for each key")
    one.set_defaults(command=state_diff)

    one = commands.add_parser("run", parents=[common], help="run a script")
    one.add_argument("--profile", help="sets MARTLET_PROFILE: dev-local or single-node-durable")
    one.add_argument(
        "--state-dir",
        metavar="DIR",
        help="sets MARTLET_STATE_DIR, and the profile single-node-durable if none is given",
    )
    one.add_argument("--parallelism", type=int, metavar="N", help="sets MARTLET_PARALLELISM")
    one.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, help="sets MARTLET_PROGRESS: the progress line"
    )
    _add_script(one)
    one.set_defaults(command=run)

    one = commands.add_parser("explain", parents=[common], help="show what a script would run, without running it")
    one.add_argument("--format", choices=("text", "mermaid"), default="text", help="default: text")
    _add_script(one)
    one.set_defaults(command=explain)
    return parser


def _add_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a checkpoint, a savepoint, or a state directory: its newest one")


def _add_script(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", metavar="SCRIPT", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the script's own arguments")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)
