"""Exceptions on their way out of Flink: raised in a Python worker, wrapped by Beam and Java, unwrapped where the job
was submitted."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator

from ..sending import describe_exception, revive_exception

__all__ = ["report_failures", "revived"]

_MARK = re.compile(r"martlet-failure:([A-Za-z0-9+/=]+):end")


class TaskError(RuntimeError):
    """Carries the exception of a function through Java, as text: the only thing that arrives."""


@contextlib.contextmanager
def report_failures() -> Iterator[None]:
    """What is raised within goes out as text that `revived` understands."""
    try:
        yield
    except (TaskError, GeneratorExit):
        raise
    except BaseException as error:
        words = base64.b64encode(describe_exception(error)).decode()
        raise TaskError(f"{type(error).__name__}: {error}\nmartlet-failure:{words}:end") from error


def revived(text: str) -> BaseException | None:
    """The function's exception that a trace of Flink carries; None if Flink itself has failed. Flink's trace is its
    last note."""
    found = _MARK.search(text)
    if found is None:
        return None
    error = revive_exception(base64.b64decode(found[1]))
    error.add_note("Apache Flink:\n" + _MARK.sub("…", text).strip())
    return error
