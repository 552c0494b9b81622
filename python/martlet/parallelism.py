"""How many instances a job has: the settings."""

from __future__ import annotations

import os

from .errors import ConfigError

__all__ = ["MAX_PARALLELISM", "read_parallelism"]

MAX_PARALLELISM = 32_768


def read_parallelism(parallelism: object, max_parallelism: object) -> tuple[int, int]:
    """Both settings, checked; None is the environment variable MARTLET_PARALLELISM, or 1."""
    name = "parallelism"
    if parallelism is None:
        text = os.environ.get("MARTLET_PARALLELISM", "1")
        name = "MARTLET_PARALLELISM"
        parallelism = int(text) if text.isascii() and text.isdigit() else text
    most = _number("max_parallelism", max_parallelism, MAX_PARALLELISM)
    return _number(name, parallelism, most), most


def _number(name: str, value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        limit = str(most) if most == MAX_PARALLELISM else f"max_parallelism, which is {most}"
        raise ConfigError(f"{name}={value!r} is not allowed; use an int from 1 to {limit}")
    return value
