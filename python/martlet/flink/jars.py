"""The jars of `Config(flink={"pipeline.jars": …})`, and whether the connector that a job needs is among them. Needs
neither PyFlink nor Java."""

from __future__ import annotations

import importlib.util
import re
import urllib.parse
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ..config import Config
from ..errors import ConfigError

__all__ = ["JARS", "given_jars", "kafka_package"]

JARS = "pipeline.jars"
_CONNECTOR = "org/apache/flink/connector/kafka/source/KafkaSource.class"
_CLIENT = "org/apache/kafka/clients/consumer/ConsumerRecord.class"
_SHADED = "org/apache/flink/kafka/shaded/"


def given_jars(config: Config) -> list[Path]:
    """Those that travel with the job. ConfigError for one that is not a file here."""
    text = dict(config.flink).get(JARS, "")
    found = []
    for one in re.split(r"[;,]", text.strip().removeprefix("[").removesuffix("]")):
        name = one.strip().strip("'\"")
        if not name:
            continue
        scheme, _, rest = name.rpartition(":")
        path = Path(urllib.parse.unquote(rest) if scheme == "file" else name)
        if scheme not in ("", "file") or not path.is_file():
            raise ConfigError(
                f"flink={{{JARS!r}: …}}: {name!r} is no file on this machine, where the job is put together; give "
                "paths or file: URIs of jars, with ';' between them"
            )
        found.append(path.absolute())
    return found


def kafka_package(config: Config, who: str) -> str:
    """The Java package of Kafka's client that the connector works with, ending in a dot. ConfigError, for `who` needs
    it, if there is no connector or no client."""
    jars = (*given_jars(config), *_lib())
    if not _has(jars, _CONNECTOR):
        raise ConfigError(
            f"{who} needs Flink's connector for Kafka, which is not part of Flink: download "
            "flink-sql-connector-kafka of a version for Flink 2 (Maven: org.apache.flink) and pass its path in "
            f"Config(flink={{{JARS!r}: '/path/flink-sql-connector-kafka-….jar'}}), or put it into pyflink/lib"
        )
    for package in (_SHADED, ""):
        if _has(jars, package + _CLIENT):
            return (package + "org.apache.kafka.").replace("/", ".")
    raise ConfigError(
        f"{who}: flink-connector-kafka is there, and the kafka-clients jar that it works with is not: pass both in "
        f"Config(flink={{{JARS!r}: '/path/flink-connector-kafka-….jar;/path/kafka-clients-….jar'}}), or "
        "flink-sql-connector-kafka, which has all in one"
    )


def _lib() -> list[Path]:
    """The jars of PyFlink."""
    found = importlib.util.find_spec("pyflink")
    return [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob("lib/*.jar"))


def _has(jars: Iterable[Path], name: str) -> bool:
    return any(name in _names(path, path.stat().st_mtime_ns) for path in jars)


@cache
def _names(path: Path, changed_ns: int) -> frozenset[str]:
    try:
        with zipfile.ZipFile(path) as jar:
            return frozenset(name for name in jar.namelist() if name.endswith((_CONNECTOR, _CLIENT)))
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is no jar: {error}") from error
