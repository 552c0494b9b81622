"""Kafka on Flink as far as it needs neither PyFlink nor Java: jars, settings, refusals, words. (Reading and writing:
tests_flink/test_kafka.py.)"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

import martlet as mt
from martlet.flink.jars import given_jars, kafka_package
from martlet.flink.kafka_settings import java_settings
from martlet.flink.placing import is_written_there
from martlet.flink.refusals import check
from martlet.flink.session import flink_settings
from martlet.graph import Plan

pytest.importorskip("confluent_kafka")

CONNECTOR = "org/apache/flink/connector/kafka/source/KafkaSource.class"
CLIENT = "org/apache/kafka/clients/consumer/ConsumerRecord.class"
PLAIN, SHADED = "org.apache.kafka.", "org.apache.flink.kafka.shaded.org.apache.kafka."


def config(**settings: Any) -> mt.Config:
    return mt.Config(profile="distributed-durable", **settings)


def nothing(key: Any, batch: mt.Record, row: int, ctx: mt.Context) -> None:
    pass


def jar(path: Path, *names: str) -> Path:
    """A jar as far as its list of contents goes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


def source(**more: Any) -> mt.KafkaSource:
    return mt.KafkaSource("clicks", bootstrap="localhost:9", **{"schema": {"k": str, "t": int}, **more})


def stream(one: mt.KafkaSource) -> mt.Stream:
    return mt.stream(one, timestamp="t", watermark=5, idle_timeout=None if one.bounded else "2s")


def with_jar(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"pipeline.jars": str(jar(tmp_path / "sql.jar", CONNECTOR, SHADED.replace(".", "/") + CLIENT[17:])), **more}


def test_jars_as_paths_and_as_uris(tmp_path: Path) -> None:
    one, two = jar(tmp_path / "a b.jar", CONNECTOR), jar(tmp_path / "b.jar", CLIENT)
    for text in (f"{one};{two}", f"{one.as_uri()};{two.as_uri()}", f"['{one.as_uri()}', '{two}']"):
        found = config(flink={"pipeline.jars": text, "kafka.retries": "1"})
        assert given_jars(found) == [one, two]
        assert kafka_package(found, "") == PLAIN
        assert not {"pipeline.jars", "kafka.retries", "retries"} & set(flink_settings(found))
    assert kafka_package(config(flink=with_jar(tmp_path)), "") == SHADED


@pytest.mark.parametrize("name", ["/nowhere/x.jar", "https://example.org/x.jar"])
def test_what_is_no_jar_here(name: str) -> None:
    with pytest.raises(mt.ConfigError, match=rf"'{re.escape(name)}' is no file on this machine"):
        given_jars(config(flink={"pipeline.jars": name}))


def test_a_broken_jar(tmp_path: Path) -> None:
    (tmp_path / "broken.jar").write_bytes(b"no zip")
    with pytest.raises(mt.ConfigError, match=r"broken.jar is no jar"):
        kafka_package(config(flink={"pipeline.jars": str(tmp_path / "broken.jar")}), "")


def test_refusals(tmp_path: Path) -> None:
    def refused(one: mt.KafkaSource, words: str, **settings: Any) -> None:
        out = stream(one).key_by("k").process(nothing)
        with pytest.raises(mt.ConfigError, match=words):
            check(Plan.of([out._edge]), config(**settings))

    refused(source(), r"stream 'clicks': KafkaSource needs.*flink-sql-connector-kafka.*pipeline.jars")
    alone = {"pipeline.jars": str(jar(tmp_path / "alone.jar", CONNECTOR))}
    refused(source(), r"kafka-clients jar.*is not: pass both", flink=alone)
    refused(source(schema=None), r"'clicks'.*infers its columns.*pass schema=", flink=with_jar(tmp_path))
    odd = source(config={"queued.min.messages": 5})
    refused(odd, r"'queued.min.messages'.*librdkafka.*'kafka.<name>'", flink=with_jar(tmp_path))
    for fine in (source(), source(end="latest")):
        out = stream(fine).key_by("k").process(nothing)
        check(Plan.of([out._edge]), config(flink=with_jar(tmp_path)))


def test_settings_of_the_java_client(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("a certificate")
    given = {
        "bootstrap.servers": "h:1",
        "enable.auto.commit": False,
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": 'a"b\\c',
        "ssl.ca.location": str(tmp_path / "ca.pem"),
        "queue.buffering.max.ms": 5,
        "enable.idempotence": True,
    }
    assert java_settings("it", given, config(flink={"kafka.linger.ms": "7", "a": "b"}), SHADED) == {
        "bootstrap.servers": "h:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": f"{SHADED}common.security.scram.ScramLoginModule required "
        'username="me" password="a\\"b\\\\c";',
        "ssl.truststore.certificates": "a certificate",
        "ssl.truststore.type": "PEM",
        "linger.ms": "7",
        "enable.idempotence": "true",
    }
    with pytest.raises(mt.ConfigError, match=r"'ssl.key.location': '/nowhere'.*cannot be read"):
        java_settings("it", {"ssl.key.location": "/nowhere"}, config(), PLAIN)
    with pytest.raises(mt.ConfigError, match=r"sasl.mechanism 'GSSAPI': use one of PLAIN"):
        java_settings("it", {"sasl.username": "me", "sasl.mechanism": "GSSAPI"}, config(), PLAIN)


def test_who_writes_a_sink(tmp_path: Path) -> None:
    ends, endless = (
        Plan.of([stream(one).key_by("k").process(nothing)._edge]) for one in (source(end="latest"), source())
    )
    kafka = mt.KafkaSink("totals", bootstrap="localhost:9")
    flink = with_jar(tmp_path)
    plain, saves = config(flink=flink), config(flink=flink, state_dir=tmp_path, checkpoint_interval="1s")
    assert is_written_there(kafka, ends, plain) and is_written_there(kafka, endless, saves)
    with pytest.raises(mt.ConfigError, match=r"KafkaSink: topic 'totals'.*does not end; pass .*state_dir"):
        is_written_there(kafka, endless, plain)
    with pytest.raises(mt.ConfigError, match=r"KafkaSink: topic 'totals' needs Flink's connector"):
        is_written_there(kafka, ends, config())
    lines = mt.JsonlSink(tmp_path / "out")
    assert is_written_there(lines, endless, saves) and not is_written_there(lines, ends, plain)
    assert not is_written_there(mt.JsonlSink(tmp_path / "out", existing="replace"), ends, saves)
    for sink, words in (
        (mt.JsonlSink(tmp_path / "out", max_rows=5), r"JsonlSink is written by the program.*max_rows= is not possible"),
        (mt.ParquetSink(tmp_path / "parquet"), r"ParquetSink is written by the program.*does not end; use"),
    ):
        with pytest.raises(mt.ConfigError, match=words):
            is_written_there(sink, endless, saves)
    assert not is_written_there(print, endless, plain)
    assert not is_written_there(None, endless, plain)


def test_explain(tmp_path: Path) -> None:
    chosen = config(flink=with_jar(tmp_path), parallelism=3)
    told = stream(source()).key_by("k").process(nothing, config=chosen).explain(profile="distributed-durable")
    assert "REFUSED" not in told
    assert (
        "KafkaSource -> Flink's KafkaSource, until the job is stopped; offsets in Flink's checkpoints; 3 tasks" in told
    )
    assert "a watermark for each partition, 5 ms behind 't', silent ones left out after 2000 ms" in told
    assert "sinks: KafkaSink -> Flink's KafkaSink, in transactions" in told
    assert "  - Kafka: partitions that are there when the job is submitted" in told
