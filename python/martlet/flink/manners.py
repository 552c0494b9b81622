"""What PyFlink does to the process it runs in, undone.

In a mini-cluster, functions run in threads of the submitting process. Beam, which starts them, takes all handlers from
the root logger, and when a job ends its reading threads die of the closed connection, with a traceback each.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

__all__ = ["Manners"]

_READER = "read_grpc_client_inputs"


class _Quieter:
    """A hook for exceptions of threads that says nothing of Beam's readers: by then the job has ended, or failed in
    words of its own."""

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def __call__(self, failure: Any) -> None:
        if failure.thread is None or _READER not in failure.thread.name:
            self._hook(failure)


class Manners:
    """From its making to `restore`, the process stays as the program has it."""

    __slots__ = ("_handlers", "_level")

    def __init__(self) -> None:
        root = logging.getLogger()
        self._handlers = list(root.handlers)
        self._level = root.level
        if not isinstance(threading.excepthook, _Quieter):
            threading.excepthook = _Quieter(threading.excepthook)

    def restore(self) -> None:
        """The root logger as it was. The hook stays where threads of the job may still come to their end."""
        root = logging.getLogger()
        root.handlers[:] = self._handlers
        root.setLevel(self._level)
