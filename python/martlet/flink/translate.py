"""A plan of Martlet as a DataStream program of Flink."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, cast

from pyflink.common import Types
from pyflink.datastream import DataStream, FlatMapFunction
from pyflink.java_gateway import get_gateway
from pyflink.serializers import PickleSerializer

from .._engine import Schema
from ..config import Config
from ..graph import InputRef, Plan, PlannedOperator, SourceNode
from ..instances import instantiate
from ..sending import WorkerJob, pickle_job
from ..sources.kafka import KafkaSource
from ..sources.listing import FileId
from .failing import report_failures
from .file_reading import FileReader, files_of
from .kafka_reading import kafka_stream
from .reading import read_sources, watermarks_behind
from .tasks import (
    BroadcastTask,
    ConnectTask,
    Key,
    KeyedBroadcastTask,
    MergedTask,
    ProcessTask,
    TaskSpec,
    broadcast_descriptors,
    side_tag,
)

__all__ = ["Translation"]

CHUNK = 256
_REPLACING = threading.Lock()


def _in_memory(environment: Any, items: list[Any]) -> Any:
    """A source of these objects that goes on where a checkpoint was taken, which that of PyFlink's from_collection
    does not: it begins again."""
    gateway = get_gateway()
    with tempfile.NamedTemporaryFile() as file:
        PickleSerializer().serialize(items, file)
        file.flush()
        found = gateway.jvm.PythonBridgeUtils.readPickledBytes(file.name)
    kind = Types.PICKLED_BYTE_ARRAY().get_java_type_info()
    return DataStream(environment._j_stream_execution_environment.fromData(found, kind).setParallelism(1))


@contextlib.contextmanager
def _durable_timers() -> Iterator[None]:
    """Within, PyFlink makes the keyed operators of `java/` in place of its own, whose timers can be lost."""
    jvm = get_gateway().jvm
    with _REPLACING:
        jvm.ExternalPythonKeyedProcessOperator = jvm.martlet.flink.KeyedProcess
        jvm.ExternalPythonKeyedCoProcessOperator = jvm.martlet.flink.KeyedCoProcess
        try:
            yield
        finally:
            del jvm.ExternalPythonKeyedProcessOperator, jvm.ExternalPythonKeyedCoProcessOperator


class _Unpack(FlatMapFunction):  # type: ignore[misc]
    """Elements, with the watermark behind each, travel to Flink in chunks: each costs it a step of its own."""

    def flat_map(self, value: list[Any]) -> list[Any]:
        return value


class _ReadFiles(FlatMapFunction):  # type: ignore[misc]
    """The elements of a file, with the watermark behind each."""

    def __init__(self, reader: FileReader) -> None:
        self._reader = reader

    def flat_map(self, value: Any) -> Iterator[Any]:
        with report_failures():
            for element in self._reader.elements(FileId(*value)):
                yield element, self._reader.watermark


class Translation:
    """The program for a plan, built in a PyFlink environment. `outputs`: a stream of elements for each output of the
    plan."""

    def __init__(self, environment: Any, plan: Plan, config: Config, paths: tuple[str, ...]) -> None:
        self._environment = environment
        self._plan = plan
        self._config = config
        self._paths = paths
        self._job = pickle_job(WorkerJob(config.name or "", (), plan.operators, config))
        self._schemas: dict[tuple[int, int, str | None], Schema | None] = {}
        self._sources: dict[int, Any] = {}
        self._merged: dict[int, Any] = {}
        self._streams: dict[int, Any] = {}
        self._reads = 0
        self.records_in = 0
        with _durable_timers():
            for number, planned in enumerate(plan.operators, 1):
                self._streams[number] = self._operator(number, planned)
        self.outputs = [self._output(one) for one in plan.outputs]

    def schema(self, ref: InputRef) -> Schema | None:
        """The schema of an edge, as far as the plan knows it."""
        return self._schemas.get(ref)

    # ---- sources

    def _at_parallelism(self, parallelism: int) -> None:
        self._environment.set_parallelism(parallelism)

    def _source(self, number: int) -> Any:
        if number not in self._sources:
            node = self._plan.sources[number]
            listed = files_of(node.source)
            if isinstance(node.source, KafkaSource):
                stream, schema = (
                    kafka_stream(self._environment, number, node, self._config, self._paths),
                    node.source.schema,
                )
            elif listed is None:
                elements, (schema,) = read_sources((node,))
                stream = self._collection(elements, (node,))
            else:
                files, schema = listed
                stream = self._read(files, _ReadFiles(FileReader(node, schema)), (node,))
            self._schemas[InputRef(number, 0, None)] = schema
            self._sources[number] = stream
        return self._sources[number]

    def _collection(self, elements: list[Any], nodes: tuple[SourceNode, ...]) -> Any:
        self.records_in += len(elements)
        pairs = list(zip(elements, watermarks_behind(elements, nodes), strict=True))
        chunks = [pairs[at : at + CHUNK] for at in range(0, len(pairs), CHUNK)]
        return self._read(chunks or [[]], _Unpack(), nodes)

    def _read(self, items: list[Any], read: FlatMapFunction, nodes: tuple[SourceNode, ...]) -> Any:
        self._at_parallelism(1)
        name = " + ".join(node.name for node in nodes)
        # Counted, as streams of one name may be read twice. Without it Flink would make one of what is chained to it.
        self._reads += 1
        stream = _in_memory(self._environment, items).uid(f"source {self._reads}:{name}")
        element = Types.PICKLED_BYTE_ARRAY()
        pairs = stream.name(name).flat_map(read, Types.TUPLE([element, Types.LONG()])).name(f"read {name}")
        jvm = get_gateway().jvm
        marked = pairs._j_data_stream.assignTimestampsAndWatermarks(jvm.martlet.flink.SourceWatermarks())
        elements = jvm.org.apache.flink.streaming.api.functions.python.eventtime.RemoveTimestampMapFunction()
        return DataStream(marked.map(elements, element.get_java_type_info()))

    def _is_merged(self, planned: PlannedOperator) -> bool:
        return planned.operator.kind == "connect" and all(map(self._is_in_one_task, planned.inputs))

    def _is_in_one_task(self, ref: InputRef) -> bool:
        return ref.process == 0 and not isinstance(self._plan.sources[ref.source].source, KafkaSource)

    # ---- operators

    def _stream(self, ref: InputRef) -> Any:
        if ref.process == 0:
            return self._source(ref.source)
        stream = self._streams[ref.process]
        return stream if ref.tag is None else stream.get_side_output(side_tag(ref.process, ref.tag))

    def _parallelism_of(self, ref: InputRef) -> int:
        return 1 if self._is_in_one_task(ref) else self._config.parallelism

    def _keyed(self, ref: InputRef, columns: tuple[str, ...]) -> Any:
        stream = self._stream(ref)
        self._at_parallelism(self._parallelism_of(ref))
        keyed = stream.key_by(Key((self.schema(ref),), (columns,)), key_type=Types.STRING())
        self._at_parallelism(self._config.parallelism)
        return keyed

    def _operator(self, number: int, planned: PlannedOperator) -> Any:
        operator, inputs = planned.operator, planned.inputs
        known = {None: operator.output, **cast("dict[str | None, Schema | None]", operator.side_outputs)}
        declared = tuple((tag, schema) for tag, schema in known.items() if schema is not None)
        for tag, schema in declared:
            self._schemas[InputRef(-1, number, tag)] = schema
        if self._is_merged(planned):
            stream = self._merge(number, planned)
        elif operator.kind == "process":
            keyed = self._keyed(inputs[0], operator.keys[0])
            stream = keyed.process(ProcessTask(self._spec(number, planned)), Types.PICKLED_BYTE_ARRAY())
        elif operator.kind == "connect":
            left, right = (self._keyed(ref, key) for ref, key in zip(inputs, operator.keys, strict=True))
            stream = left.connect(right).process(ConnectTask(self._spec(number, planned)), Types.PICKLED_BYTE_ARRAY())
        else:
            stream = self._broadcast(number, planned)
        self._at_parallelism(self._config.parallelism)
        # What PyFlink chains it makes anew, with operators of its own.
        return stream.name(operator.name).uid(f"{number}:{operator.name}").disable_chaining()

    def _merge(self, number: int, planned: PlannedOperator) -> Any:
        nodes = tuple(self._plan.sources[ref.source] for ref in planned.inputs)
        elements, schemas = read_sources(nodes)
        for ref, schema in zip(planned.inputs, schemas, strict=True):
            self._schemas[ref] = schema
        stream = self._collection(elements, nodes)
        keyed = stream.key_by(Key(schemas, planned.operator.keys), key_type=Types.STRING())
        self._at_parallelism(self._config.parallelism)
        return keyed.process(MergedTask(self._spec(number, planned, precise=True)), Types.PICKLED_BYTE_ARRAY())

    def _broadcast(self, number: int, planned: PlannedOperator) -> Any:
        operator = planned.operator
        main, other = planned.inputs
        instance = instantiate(operator)
        states = instance.states
        broadcast = self._stream(other).broadcast(*broadcast_descriptors(states).values())
        if operator.keys[0]:
            keyed = self._keyed(main, operator.keys[0])
            task: Any = KeyedBroadcastTask(self._spec(number, planned), states)
            return keyed.connect(broadcast).process(task, Types.PICKLED_BYTE_ARRAY())
        stream = self._stream(main)
        self._at_parallelism(self._config.parallelism)
        task = BroadcastTask(self._spec(number, planned), states)
        return stream.connect(broadcast).process(task, Types.PICKLED_BYTE_ARRAY())

    def _spec(self, number: int, planned: PlannedOperator, precise: bool = False) -> TaskSpec:
        operator, inputs = planned.operator, planned.inputs
        if len(inputs) == 1:
            precise = self._is_in_one_task(inputs[0])
        read = (
            *itertools.chain.from_iterable(one.inputs for one in self._plan.operators),
            *self._plan.outputs,
        )
        methods = instantiate(operator).methods
        known = {None: operator.output, **cast("dict[str | None, Schema | None]", operator.side_outputs)}
        return TaskSpec(
            number,
            self._job,
            tuple(self._plan.sources[ref.source].timestamp if ref.process == 0 else None for ref in inputs),
            tuple(precise for _ in inputs),
            tuple(self.schema(ref) for ref in inputs),
            tuple(dict.fromkeys(ref.tag for ref in read if ref.process == number and ref.tag is not None)),
            tuple((tag, schema) for tag, schema in known.items() if schema is not None),
            bool(operator.keys[0]),
            methods[2][0] is not None or methods[4][0] is not None,
            self._config.at_end,
            self._paths,
        )

    def _output(self, ref: InputRef) -> Any:
        return self._stream(ref)
