"""Settings of librdkafka, which the embedded engine reads Kafka with, as those of Kafka's Java client, which Flink
does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ConfigError

__all__ = ["PREFIX", "java_settings"]

PREFIX = "kafka."
"""Of names in `Config(flink=)` that go to the Java client as they are, without it."""

_SAME = {
    "acks",
    "allow.auto.create.topics",
    "batch.size",
    "bootstrap.servers",
    "client.id",
    "client.rack",
    "compression.type",
    "connections.max.idle.ms",
    "delivery.timeout.ms",
    "enable.idempotence",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "metadata.max.age.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.ms",
    "sasl.mechanism",
    "security.protocol",
    "session.timeout.ms",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "transaction.timeout.ms",
}
_RENAMED = {
    "compression.codec": "compression.type",
    "fetch.wait.max.ms": "fetch.max.wait.ms",
    "message.max.bytes": "max.request.size",
    "message.timeout.ms": "delivery.timeout.ms",
    "queue.buffering.max.ms": "linger.ms",
    "request.required.acks": "acks",
    "sasl.mechanisms": "sasl.mechanism",
}
# What is about the client's own doings, or is decided by Flink.
_LEFT_OUT = {
    "auto.offset.reset",
    "debug",
    "enable.auto.commit",
    "enable.partition.eof",
    "log_level",
    "statistics.interval.ms",
}
_LOGIN = ("sasl.username", "sasl.password")
_MODULES = {
    "PLAIN": "plain.PlainLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "SCRAM-SHA-512": "scram.ScramLoginModule",
}
# PEM files, whose content goes with the job.
_FILES = {
    "ssl.ca.location": ("ssl.truststore.certificates", "ssl.truststore.type"),
    "ssl.certificate.location": ("ssl.keystore.certificate.chain", "ssl.keystore.type"),
    "ssl.key.location": ("ssl.keystore.key", "ssl.keystore.type"),
}


def java_settings(who: str, given: Mapping[str, Any], config: Config, package: str) -> dict[str, str]:
    """The settings of a source or sink for the Java client, whose classes are in `package`; then those of
    `Config(flink={"kafka.…": …})`. ConfigError for one that has no counterpart."""
    found: dict[str, str] = {}
    for name, value in given.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if name in _SAME:
            found[name] = text
        elif name in _RENAMED:
            found[_RENAMED[name]] = text
        elif name in _FILES:
            target, kind = _FILES[name]
            found |= {target: _content(who, name, text), kind: "PEM"}
        elif name not in _LEFT_OUT and name not in _LOGIN:
            raise ConfigError(
                f"{who}: config={{{name!r}: …}} is a setting of librdkafka that Flink's Java client does not have; "
                f"leave it out, or give the Java client's own in Config(flink={{'{PREFIX}<name>': …}})"
            )
    if _LOGIN[0] in given:
        mechanism = found.get("sasl.mechanism", "")
        if mechanism.upper() not in _MODULES:
            raise ConfigError(
                f"{who}: config={{'sasl.username': …}} with sasl.mechanism {mechanism!r}: use one of "
                f"{', '.join(_MODULES)}, or give Config(flink={{'{PREFIX}sasl.jaas.config': …}})"
            )
        user, password = (_quoted(str(given.get(name, ""))) for name in _LOGIN)
        module = f"{package}common.security.{_MODULES[mechanism.upper()]}"
        found["sasl.jaas.config"] = f"{module} required username={user} password={password};"
    own = {name.removeprefix(PREFIX): value for name, value in config.flink if name.startswith(PREFIX)}
    return {**found, **own}


def _content(who: str, name: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise ConfigError(f"{who}: config={{{name!r}: {path!r}}} cannot be read: {error}") from error


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
