"""What goes to worker processes and what comes back: functions by cloudpickle, exceptions as they were raised."""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ._engine import ManualClock, State
from .errors import ConfigError, WorkerFailedError

if TYPE_CHECKING:
    from .config import Config
    from .graph import PlannedOperator

__all__ = ["WorkerJob", "describe_exception", "pickle_job", "revive_exception"]


class WorkerJob:
    """All that a worker needs to build its part of a job."""

    __slots__ = ("clock_start", "name", "operators", "settings", "source_names")

    def __init__(
        self, name: str, source_names: Iterable[str], operators: Sequence[PlannedOperator], config: Config
    ) -> None:
        self.name = name
        self.source_names = tuple(source_names)
        self.operators = tuple(operators)
        self.settings = {
            setting: getattr(config, setting)
            for setting in ("on_error", "late", "null_keys", "null_timestamps", "at_end")
        }
        self.clock_start = config.clock.now if config.clock is not None else None

    def config(self) -> Config:
        """The job's settings as far as they matter in a worker. The time of a manual clock comes with the work."""
        from .config import Config

        clock = None if self.clock_start is None else ManualClock(self.clock_start)
        return Config(**self.settings, clock=clock, progress=False, parallelism=1, profile="dev-local")


# ---- functions ---------------------------------------------------------------------------------------


def pickle_job(job: WorkerJob) -> bytes:
    """A job for workers. ConfigError if cloudpickle is not installed, or naming the operator that cannot be sent."""
    try:
        return _dumps(job, job.operators)
    except ConfigError:
        raise
    except Exception as error:
        failure = error
    for planned in job.operators:
        try:
            _dumps(planned, [planned])
        except Exception as error:
            raise ConfigError(
                f"operator {planned.operator.name!r}: {type(planned.operator.fn).__name__} cannot be sent to worker "
                f"processes ({type(error).__name__}: {error}); make connections, locks and files in open(ctx) instead "
                "of __init__, or run it with parallelism=1"
            ) from error
    raise ConfigError(
        f"the job cannot be sent to worker processes ({type(failure).__name__}: {failure}); run it with parallelism=1"
    ) from failure


def _dumps(value: Any, operators: Sequence[PlannedOperator]) -> bytes:
    try:
        import cloudpickle
    except ImportError as error:
        raise ConfigError(
            "parallelism above 1 sends functions to worker processes with the package cloudpickle, which is not "
            "installed: pip install 'martlet[parallel]'"
        ) from error
    globals_of_modules = _global_states(operators)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            place = globals_of_modules.get(id(obj))
            return super().reducer_override(obj) if place is None else (_global_state, place)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def _global_states(operators: Sequence[PlannedOperator]) -> dict[int, tuple[str, str]]:
    """Where states that are globals of a module are found in another process, by id.

    A function of a module travels by its name, and reaches its states as globals: a worker must use these, not copies.
    """
    found: dict[int, tuple[str, str]] = {}
    for planned in operators:
        fn = planned.operator.fn
        name = getattr(fn, "__module__", None)
        module = sys.modules.get(name) if isinstance(name, str) and name != "__main__" else None
        for attribute, value in vars(module).items() if module is not None else ():
            if isinstance(value, State):
                found[id(value)] = (module.__name__, attribute)  # type: ignore[union-attr]
    return found


def _global_state(module: str, attribute: str) -> Any:
    import importlib

    return getattr(importlib.import_module(module), attribute)


# ---- exceptions --------------------------------------------------------------------------------------


def describe_exception(error: BaseException) -> bytes:
    """An exception for another process: itself, if it can be pickled, and in words in any case."""
    told = traceback.TracebackException.from_exception(error)
    told.__notes__ = None  # they go with the exception
    lines = "".join(told.format())
    data, why = None, ""
    try:
        data = _pickled(error)
        if type(pickle.loads(data)) is not type(error):
            data, why = None, "it is unpickled as another type"
    except Exception as problem:
        data, why = None, f"{type(problem).__name__}: {problem}"
    return pickle.dumps((data, type(error).__qualname__, _text(error), getattr(error, "__notes__", []), lines, why))


def _pickled(error: BaseException) -> bytes:
    try:
        return pickle.dumps(error)
    except Exception:
        import cloudpickle

        return bytes(cloudpickle.dumps(error))


def revive_exception(data: bytes) -> BaseException:
    """The exception that a worker described, with the traceback it had there as a note."""
    pickled, kind, text, notes, lines, why = pickle.loads(data)
    error: BaseException | None = None
    if pickled is not None:
        try:
            found = pickle.loads(pickled)
            error = found if isinstance(found, BaseException) else None
        except Exception as problem:
            why = f"{type(problem).__name__}: {problem}"
    if error is None:
        error = WorkerFailedError(
            f"{kind}: {text} (the exception itself cannot be brought over from the worker process: {why})"
        )
        for note in notes:
            error.add_note(note)
    error.add_note("in a worker process:\n" + lines.rstrip())
    return error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:
        return f"<its text cannot be made: {type(problem).__name__}>"
