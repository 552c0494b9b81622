"""Settings of jobs on a cluster of Apache Flink."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .errors import ConfigError

__all__ = ["read_distribution"]

_ADDRESS = re.compile(r"(?:https?://)?([A-Za-z0-9_.\-]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})/?")

Options = tuple[tuple[str, str], ...]


def read_distribution(
    profile: str, cluster: object, flink: Mapping[str, str] | Iterable[tuple[str, str]]
) -> tuple[str | None, Options]:
    """`cluster` as "host:port" and `flink` as sorted pairs. ConfigError for what is not allowed."""
    options = _options(flink)
    if profile != "distributed-durable":
        for setting, is_set in (("cluster=", cluster is not None), ("flink=", bool(options))):
            if is_set:
                raise ConfigError(f"{setting} is for profile='distributed-durable', and this is {profile!r}")
    if cluster is None:
        return None, options
    found = _ADDRESS.fullmatch(cluster) if isinstance(cluster, str) else None
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ConfigError(
            f"cluster={cluster!r} is no address; use the host and the port of Flink's REST service, such as "
            "'localhost:8081', or None for a mini-cluster in this machine"
        )
    return f"{found[1]}:{found[2]}", options


def _options(flink: object) -> Options:
    pairs = list(flink.items()) if isinstance(flink, Mapping) else flink
    if isinstance(pairs, Iterable) and not isinstance(pairs, str):
        found = [tuple(pair) for pair in pairs if isinstance(pair, Iterable)]
        if all(len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in found):
            return tuple(sorted((str(name), str(value)) for name, value in found))
    raise ConfigError(
        f"flink={flink!r} is not allowed; use a mapping from settings of Flink to their values, both texts, such as "
        "{'restart-strategy.type': 'fixed-delay'}"
    )
