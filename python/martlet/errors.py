"""The exceptions of martlet: one tree, each class naming one remedy.

What a user's own function raises is never wrapped: it surfaces as it was raised, with a note that says where.
"""

from __future__ import annotations

__all__ = [
    "BusyError",
    "ClosedError",
    "ConfigError",
    "EngineError",
    "KeyTypeError",
    "MartletError",
    "MartletWarning",
    "MissingColumnError",
    "NullKeyError",
    "NullTimestampError",
    "SchemaError",
    "SinkError",
    "SnapshotError",
    "SnapshotMismatchError",
    "SourceError",
    "StateAccessError",
    "StateTypeError",
    "StorageCorruptError",
    "StorageError",
    "StorageInUseError",
    "TimerError",
    "ValueRangeError",
    "WorkerDiedError",
    "WorkerFailedError",
]


class MartletError(Exception):
    """Base of every error that martlet itself raises.

    Attributes: `operator` (name), `record` (its number in the operator's input, from 0) and `key` (as text); each is
    None when the error does not belong to one.
    """

    operator: str | None
    record: int | None
    key: str | None

    def __init__(
        self, message: str = "", *, operator: str | None = None, record: int | None = None, key: str | None = None
    ) -> None:
        super().__init__(message)
        self.operator = operator
        self.record = record
        self.key = key

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        place = [
            f"operator {self.operator!r}" if self.operator is not None else "",
            f"record {self.record}" if self.record is not None else "",
            f"key {self.key}" if self.key is not None else "",
        ]
        where = ", ".join(part for part in place if part)
        return f"{message} ({where})" if where else message


class MartletWarning(UserWarning):
    """What a job does not promise because of how it was put together, such as a durable job with a source that
    cannot be read again."""


class ConfigError(MartletError, ValueError):
    """A setting or argument is wrong: fix the call."""


class SchemaError(MartletError):
    """A type does not fit, or a column is missing: fix the input or the declared output."""


class MissingColumnError(SchemaError, KeyError):
    """There is no key, timestamp or record column of this name. The message lists those there are."""

    __str__ = MartletError.__str__


class KeyTypeError(MartletError, TypeError):
    """A column of this type cannot be a key: cast it."""


class NullKeyError(MartletError, ValueError):
    """A record has a null key and `null_keys` is "raise"."""


class NullTimestampError(MartletError, ValueError):
    """A record has a null timestamp and `null_timestamps` is "raise"."""


class StateAccessError(MartletError, RuntimeError):
    """State, timers or the output were used outside of a callback."""


class StateTypeError(MartletError, TypeError):
    """A state cannot store a value of this type."""


class ValueRangeError(MartletError, ValueError):
    """A value does not fit its type: an integer beyond its width, text that is not valid Unicode."""


class TimerError(MartletError, RuntimeError):
    """A timer registers itself at its own time without end, or has no on_timer to call."""


class BusyError(MartletError, RuntimeError):
    """A running stream was used again from inside one of its callbacks or from another thread."""


class ClosedError(MartletError, RuntimeError):
    """The run was closed or has failed before: start a new one."""


class SourceError(MartletError, RuntimeError):
    """The source gave something that is no record or batch, or an Arrow stream reported an error."""


class SinkError(MartletError, RuntimeError):
    """A sink cannot go on: its target is in use, holds what does not fit, or failed."""


class SnapshotError(MartletError, ValueError):
    """Bytes that are no whole, sound snapshot of a format that this version reads: restore from another one."""


class SnapshotMismatchError(SnapshotError):
    """A snapshot of a function with other keys or states. Declare what the message names as it was."""


class WorkerDiedError(MartletError, RuntimeError):
    """A worker process ended while its job still needed it; the message says how."""


class WorkerFailedError(MartletError, RuntimeError):
    """A function failed in a worker process with an exception that cannot be sent; the message tells of it."""


class StorageError(MartletError, OSError):
    """Files could not be read or written: disk full, read-only, no permission. See to that, then start again."""

    __str__ = MartletError.__str__


class StorageInUseError(StorageError):
    """Another job has the directory open: stop it, or choose another directory."""


class StorageCorruptError(StorageError):
    """What is on disk is damaged or incomplete: restore from a checkpoint."""


class EngineError(MartletError, RuntimeError):
    """A broken invariant: please report a bug."""
