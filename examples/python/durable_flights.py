"""The job of flights_demo.py, killed along the way: a year of flights, and kill -9 whenever it has got a little
further.

    python durable_flights.py                 four times
    python durable_flights.py --kills 20

The job runs in a process of its own, from a Parquet file to a directory of Parquet files, with checkpoints in a state
directory. This program waits until the job has committed something, kills it without warning, and starts it again,
which is all there is to recovery: the same command. Then it lets the job run to its end, and compares what a reader
finds in the directory with the output of one run without an interruption: row for row, in the same order.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from flights_demo import OUTPUT, Aircraft, read_flights, run

import martlet as mt


def job(directory: Path, profile: str) -> mt.RunReport:
    """One life of the job: it goes on where the last checkpoint was taken, if there is one."""
    source = mt.ParquetSource(directory / "flights.parquet", batch_rows=2048)
    events = mt.stream(source, timestamp="departure", watermark=0, name="departures")
    config = mt.Config(
        profile=profile,
        state_dir=directory / "state",
        checkpoint_interval="10ms",
        name="flights",
        null_keys="drop",
        null_timestamps="drop",
    )
    out = mt.apply_process_function(events, "tailnum", Aircraft(), output=OUTPUT, config=config)
    return out.run(mt.ParquetSink(directory / "reports"))


def start(directory: Path, profile: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "--job", str(directory), "--profile", profile])


def committed(directory: Path) -> int:
    return len(list((directory / "reports").glob("*.parquet")))


def kill_along_the_way(directory: Path, profile: str, kills: int) -> int:
    """How often the job was killed; less than `kills` if it was done before."""
    rng = random.Random(7)
    for killed in range(kills):
        goal = committed(directory) + rng.randint(1, max(1, 12 // kills))
        process = start(directory, profile)
        while process.poll() is None and committed(directory) < goal:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            return killed
        rows = pl.scan_parquet(directory / "reports" / "*.parquet").select(pl.len()).collect().item()
        print(f"  killed: {rows:,} rows are committed, in {committed(directory)} files")
    return kills


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=4)
    arguments.add_argument("--profile", default="single-node-durable")
    arguments.add_argument("--job", type=Path, help="run the job in this directory, and nothing else")
    given = arguments.parse_args()
    if given.job is not None:
        print(f"  {job(given.job, given.profile)}")
        return

    flights = read_flights()
    expected, _ = run(flights)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        flights.write_parquet(directory / "flights.parquet", row_group_size=50_000)
        killed = kill_along_the_way(directory, given.profile, given.kills)
        print("To the end:", flush=True)
        assert start(directory, given.profile).wait() == 0
        files = sorted((directory / "reports").glob("*.parquet"))
        found = pl.concat([pl.read_parquet(file) for file in files])
    assert found.equals(expected), "the output differs from that of a run without interruption"
    assert killed == given.kills, f"it was done after {killed} kills"
    print(f"Checked: after {killed} kills, all {found.height:,} rows are there, once each and in order.")


if __name__ == "__main__":
    main()
