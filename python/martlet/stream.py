"""Streams: a lazy description of a graph of functions over sources, and every way to take the results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from ._engine import RecordBatch, Schema, State
from .arguments import check_tag, key_columns, one_config
from .config import Config, explained_config
from .errors import ConfigError, MartletError
from .graph import Edge, OperatorNode, Plan, SourceNode, ancestry
from .keyed import BroadcastConnectedStreams, BroadcastStream, KeyedStream
from .report import RunReport
from .run import Output, Run, export
from .sharing import sharing_streams
from .sinks.running import run_sinks
from .taking import Collected, library

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from .flink.job import FlinkJob
    from .running_job import RunningJob

__all__ = ["Stream"]

# Rows asked for at a time when all of the output is wanted anyway.
BULK_ROWS = 65_536


class Stream:
    """A stream of records: a source and the functions over it. Lazy: nothing is read until results are taken.

    Iterate it for `RecordBatch`es as they come, or take everything with `to_pylist`, `to_arrow`, `to_polars`,
    `to_pandas` or `run(sink)`; any Arrow library reads it through `__arrow_c_stream__`. Each of these runs the stream
    again from its source; a source that can be read only once (a generator, a record batch reader) raises MartletError
    the second time.
    """

    __slots__ = ("__weakref__", "_config", "_edge", "_nodes", "_share")

    def __init__(self, edge: Edge, config: Config | None) -> None:
        self._edge = edge
        self._nodes = tuple(ancestry([edge]))
        self._config = config
        # An output of a run that has begun and that this stream has not taken yet.
        self._share: Output | None = None
        for node in self._nodes:
            node.family.add(self)

    # ---- building

    def key_by(self, *columns: str) -> KeyedStream:
        """The stream keyed by one column or by several (the key is then a tuple)."""
        return KeyedStream(self, key_columns(columns))

    def broadcast(self, *states: State) -> BroadcastStream:
        """The stream as a broadcast, which every parallel instance sees whole, with the states it may write:
        `rules.broadcast(BroadcastState("rules"))`."""
        return BroadcastStream(self, states)

    def connect(self, other: BroadcastStream) -> BroadcastConnectedStreams:
        """This stream, without a key, and a broadcast. (To connect two streams, key both: `KeyedStream.connect`.)"""
        if isinstance(other, BroadcastStream):
            return BroadcastConnectedStreams(self, (), other)
        raise ConfigError(
            f"a stream without a key can be connected with a broadcast only, got {type(other).__name__}; key both "
            "streams, as in left.key_by('id').connect(right.key_by('id')), or use connect_streams(…, key='id')"
        )

    def _then(self, node: OperatorNode, config: Config | None) -> Stream:
        """The stream that a function over this one, and perhaps others, gives."""
        return Stream(Edge(node), config)

    def side_output(self, tag: str) -> Stream:
        """A side output of the last function: what it sends with `ctx.emit_to(tag, …)`.

        A stream like any other: it can be consumed, and functions can be applied to it. Ask for it before the first
        output is consumed: then one run feeds all of them, and what comes for the others is kept until they are
        consumed too. Consumed a second time it runs again, if the source allows.

        Two tags are filled by the engine:

        - `"late"` under `Config(late="side_output")`: the late records, as they came; of two inputs in the columns
          `left` and `right`, structs of which one is None.
        - `"errors"` under `Config(on_error="dead_letter")` (or `null_keys=`, `null_timestamps=`): a row for each record
          or timer that failed, with the columns `operator`, `record_number` (in the operator's input, from 0; None for
          a timer), `key` (text), `timestamp` (epoch ms or None), `fire_time` and `domain` (`"event"`, `"processing"`;
          of a timer), `error_type`, `message`, `traceback` (text or None) and `record`: a struct of the input's
          columns (of two inputs: of `left` and `right`, one of them None), None for a timer.

        Raises ConfigError if the stream has no function.
        """
        check_tag(tag)
        node = self._edge.node
        if isinstance(node, SourceNode) or self._edge.tag is not None:
            raise ConfigError(f"side output {tag!r}: there is no function here that could emit to it")
        sides = node.family.sides
        side = sides.get(tag)
        if side is None:
            side = sides[tag] = Stream(Edge(node, tag), self._config)
        return side

    # ---- running

    def _start(self, config: Config | None = None) -> Output:
        share = self._share
        if share is not None and config is None:
            self._share = None
            return share
        streams = sharing_streams(self, config)
        chosen = one_config(config, *(one._config for one in streams))
        plan = Plan.of([one._edge for one in streams])
        _consume(plan.sources)
        run = _new_run(plan, chosen)
        outputs = run.outputs()
        for one, output in zip(streams, outputs, strict=True):
            one._share = None if one is self else output
        return outputs[streams.index(self)]

    def _start_sinks(self, sides: Mapping[str, Any], config: Config | None) -> list[Output]:
        """The main output of a new run, and those of the side outputs with these tags."""
        streams = [self.side_output(tag) for tag in sides]
        if self._share is not None and config is None and any(one._share is None for one in streams):
            raise ConfigError(
                "the run of this stream has begun already, without the side outputs that have sinks; call run() before "
                "its schema or another output is asked for"
            )
        outputs = [self._start(config)]
        for one in streams:
            assert one._share is not None
            outputs.append(one._share)
            one._share = None
        return outputs

    def _peeked(self) -> Output:
        """A started run whose schema is known, kept for the next one who takes the results."""
        if self._share is None:
            self._share = self._start()
        self._share.peek()
        return self._share

    @property
    def schema(self) -> Schema:
        """Names and types of the output's columns. Unless declared, this runs up to the first output."""
        node, tag = self._edge
        if isinstance(node, OperatorNode):
            last = node.operator
            declared = last.output if tag is None else last.side_outputs.get(tag)
            if declared is not None:
                return declared
        return self._peeked().schema()

    def __iter__(self) -> Iterator[RecordBatch]:
        """Batches as they come: each as soon as there is output.

        Of a durable job (`Config(state_dir=…)`), a checkpoint has what was handed out before the next batch is asked
        for, and after a restart iteration goes on there. So what was handed out after the last checkpoint comes again;
        `run` with a transactional sink gives each record once.
        """
        return self._start().batches(1)

    def to_pylist(self) -> list[dict[str, Any]]:
        """All output records as dicts."""
        return list(itertools.chain.from_iterable(batch.to_pylist() for batch in self._start().batches(BULK_ROWS)))

    def _collect(self) -> Collected:
        run = self._start()
        batches = list(run.batches(BULK_ROWS))
        return Collected(batches[0].schema if batches else run.schema(), batches)

    def to_arrow(self) -> pyarrow.Table:
        """All output as a pyarrow.Table."""
        return library("pyarrow", "to_arrow").table(self._collect())

    def to_polars(self) -> polars.DataFrame:
        """All output as a polars.DataFrame."""
        return library("polars", "to_polars").DataFrame(self._collect())

    def to_pandas(self) -> pandas.DataFrame:
        """All output as a pandas.DataFrame, by way of pyarrow."""
        pyarrow, _ = library("pyarrow", "to_pandas"), library("pandas", "to_pandas")
        return pyarrow.table(self._collect()).to_pandas()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The output as an Arrow stream, produced while it is read. `requested_schema` is a wish, and is declined."""
        run = self._peeked()
        return export(run.schema(), self._until_read(run))

    def _until_read(self, run: Output) -> Iterator[RecordBatch]:
        # Some readers ask for the stream only to see its schema: what they did not begin to read stays for the next
        # one.
        if self._share is run:
            self._share = None
        yield from run.batches(BULK_ROWS)

    def run(
        self, sink: Any = None, config: Config | None = None, *, side_outputs: Mapping[str, Any] | None = None
    ) -> RunReport:
        """Runs the stream to its end and returns the report.

        - `sink`: a `mt.Sink`; or a callable that takes each `RecordBatch`; or an object with `write(batch)` and, if it
          likes, `close()` (at the end), `abort()` (on failure) and `min_rows` (rows it wants at a time, default 1).
          None: the output is dropped.
        - `side_outputs`: a mapping tag -> sink, for side outputs that belong to the same run.

        Without checkpoints a `mt.Sink` gets all of the output or nothing. A durable job (`Config(state_dir=…)`) goes on
        where its last checkpoint was taken, and commits to its sinks with each: what readers see of them holds each
        record once, however often the job was killed. Other sinks are given output as it comes, and after a restart
        again what came after the last checkpoint; MartletWarning says so. At the end of the input there is a last
        checkpoint, from which another start has nothing left to do. Ctrl-C and SIGTERM, in the main thread and unless
        the program handles them itself, end a durable job with a checkpoint, and then raise KeyboardInterrupt or
        SystemExit; a second one ends it at once. A function that fails ends the run; output since the last checkpoint
        is taken back, and the next start goes on from there.
        """
        sides = dict(side_outputs or {})
        outputs = self._start_sinks(sides, config)
        run = outputs[0].run
        if run.is_durable:
            from .running_job import run_here

            return run_here(run, outputs, [sink, *sides.values()], ["", *sides])
        return run_sinks(run, outputs, [sink, *sides.values()], ["", *sides], BULK_ROWS)

    def start(
        self, sink: Any = None, config: Config | None = None, *, side_outputs: Mapping[str, Any] | None = None
    ) -> RunningJob | FlinkJob:
        """Runs a durable stream in a thread of its own, so that checkpoints and savepoints can be asked for meanwhile:

            with out.start(mt.ParquetSink("out"), config=config) as job:
                job.savepoint("before-the-change")

        Arguments as for `run`. ConfigError without a `state_dir`. On Apache Flink, a `FlinkJob`, whose savepoints are
        Flink's.
        """
        sides = dict(side_outputs or {})
        labels = ["", *sides]
        chosen = one_config(config, *(one._config for one in sharing_streams(self, config))) or Config()
        if chosen.state_dir is None:
            raise ConfigError("start() is for durable jobs: pass Config(state_dir=…), or use run()")
        outputs = self._start_sinks(sides, config)
        if not chosen.is_durable:
            from .flink.job import FlinkJob

            return FlinkJob(outputs[0].run, outputs, [sink, *sides.values()], labels)
        from .running_job import start_in_thread

        return start_in_thread(outputs[0].run, outputs, [sink, *sides.values()], labels)

    # ---- words

    def explain(self, format: Literal["text", "mermaid"] = "text", *, profile: str | None = None) -> str:
        """The plan: sources with their times, functions with their keys, states and policies, and what a failure would
        lose. As text, or as a Mermaid flowchart (`format="mermaid"`).

        `profile`: another one than the config's. Of `"distributed-durable"` the text ends with what becomes of each
        part on Apache Flink, what is different there, and what would be refused.
        """
        from . import explain  # here: it is slow to load, which is felt when worker processes start

        config = explained_config(self._config, profile)
        if format == "text" and config is not None and config.profile == "distributed-durable":
            from .flink import explaining

            return (
                f"{explain.as_text(self._edge, config, job=False)}\n{explaining.as_text(Plan.of([self._edge]), config)}"
            )
        if format == "text":
            return explain.as_text(self._edge, self._config)
        if format == "mermaid":
            return explain.as_mermaid(self._edge, self._config)
        raise ConfigError(f"format={format!r} is not allowed; use 'text' or 'mermaid'")

    def _repr_html_(self) -> str:
        """For notebooks: the plan as a table. Needs no network, runs nothing."""
        from . import explain

        return explain.as_html(self._edge, self._config)

    def __repr__(self) -> str:
        sources = " + ".join(node.name for node in self._nodes if isinstance(node, SourceNode))
        steps = "".join(f" -> {node.operator.name}" for node in self._nodes if isinstance(node, OperatorNode))
        return f"<Stream {sources}{steps}>"


def _new_run(plan: Plan, config: Config | None) -> Run:
    # What the environment says is for jobs, and not for a source that is only read.
    config = config or (Config() if plan.operators else Config(profile="dev-local"))
    if config.profile == "distributed-durable" and plan.operators:
        from .flink.running import FlinkRun

        return cast("Run", FlinkRun(plan, config))
    if not config.is_durable:
        return Run(plan, config)
    from .durable import DurableRun

    return DurableRun(plan, config)


def _consume(sources: tuple[SourceNode, ...]) -> None:
    """Notes that these sources are read. MartletError if one of them can be read only once and was."""
    once = [source for source in sources if source.one_shot]
    for source in once:
        if source.consumption.used:
            raise MartletError(
                f"stream {source.name!r} reads a {type(source.source).__name__}, which can be read only once, and it "
                "was; make a new stream over a new one, or use a list or a table"
            )
    for source in once:
        source.consumption.used = True
