"""The control topic: for each job and topic, the last transaction that was committed. Records are `transactional.id` →
`{"life": …, "checkpoint": …}`, in partition 0 of a compacted topic, written in the transaction that they tell of."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ..errors import SinkError
from .delivery import Mark

__all__ = ["create_topic", "read_mark"]


def create_topic(kafka: Any, settings: Mapping[str, Any], topic: str, timeout_s: float) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient(dict(settings))
    about = admin.list_topics(topic, timeout=timeout_s).topics.get(topic)
    if about is not None and about.error is None and about.partitions:
        return
    wanted = NewTopic(topic, 1, config={"cleanup.policy": "compact"})
    try:
        admin.create_topics([wanted], request_timeout=timeout_s)[topic].result(timeout_s)
    except kafka.KafkaException as error:
        if error.args[0].code() != kafka.KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def read_mark(kafka: Any, settings: Mapping[str, Any], topic: str, key: str, timeout_s: float) -> Mark | None:
    """The last committed mark under this key. Reads the whole topic, which compaction keeps short."""
    consumer = kafka.Consumer(
        {
            **settings,
            "group.id": f"martlet-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
        }
    )
    found: Mark | None = None
    deadline = time.monotonic() + timeout_s
    try:
        consumer.assign([kafka.TopicPartition(topic, 0, kafka.OFFSET_BEGINNING)])
        while True:
            for message in consumer.consume(1000, 0.05):
                error = message.error()
                if error is None:
                    if message.key() == key.encode():
                        found = Mark(**json.loads(message.value()))
                elif error.code() == kafka.KafkaError._PARTITION_EOF:
                    return found
                elif not error.retriable():
                    raise kafka.KafkaException(error)
            if time.monotonic() > deadline:
                raise SinkError(f"KafkaSink: topic {topic!r} could not be read to its end in {timeout_s} s")
    finally:
        consumer.close()
