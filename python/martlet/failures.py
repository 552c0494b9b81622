"""What is said about failures that an error policy swallows."""

from __future__ import annotations

import logging
import time
import traceback

__all__ = ["FailureLog"]

_LOGGER = logging.getLogger("martlet")
_DETAILED = 5
_SUMMARY_SECONDS = 10.0

Texts = tuple[bytes, bytes, bytes]


class FailureLog:
    """Logs the first failures of a run with their tracebacks, then a summary every 10 seconds and at the end.

    Called with every failure; gives its type, message and traceback as UTF-8, which a dead letter shows.
    """

    __slots__ = ("_counts", "_first_unsaid", "_last", "_seen", "_texts")

    def __init__(self, dead_letters: bool) -> None:
        self._texts = dead_letters
        self._seen = 0
        self._counts: dict[tuple[str, str], int] = {}
        self._last = ""
        self._first_unsaid = 0.0

    def __call__(
        self, failure: BaseException, operator: str, record: int | None, key: object, side: str
    ) -> Texts | None:
        """`side`: "left ", "right " or "broadcast " of a function of two inputs, otherwise ""."""
        self._seen += 1
        place = f"operator {operator!r}, " + ("timer" if record is None else f"{side}record {record}")
        if self._seen <= _DETAILED:
            _LOGGER.warning("skipped a failure in %s, key %r", place, key, exc_info=failure)
        else:
            self._note(operator, failure, place)
        if not self._texts:
            return None
        lines = "".join(traceback.format_exception(failure))
        return _utf8(type(failure).__name__), _utf8(str(failure)), _utf8(lines)

    def _note(self, operator: str, failure: BaseException, place: str) -> None:
        now = time.monotonic()
        if not self._counts:
            self._first_unsaid = now
        kind = operator, type(failure).__name__
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._last = f"{type(failure).__name__}: {failure} ({place})"
        if now - self._first_unsaid >= _SUMMARY_SECONDS:
            self.summarize()

    def summarize(self) -> None:
        """Logs what was not said yet."""
        if not self._counts:
            return
        total = sum(self._counts.values())
        kinds = ", ".join(f"{count:,} {kind} in {operator!r}" for (operator, kind), count in self._counts.items())
        _LOGGER.warning("skipped %s more failures: %s; the last one: %s", f"{total:,}", kinds, self._last)
        self._counts.clear()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
