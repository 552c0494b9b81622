"""A standalone cluster of Flink from the jars that PyFlink ships: a JobManager and TaskManagers on the loopback
interface, each a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyflink

HOME = Path(pyflink.__file__).parent


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def die_with_parent() -> None:
    """In a child: it is killed when the test process is, which then has no time to do so itself (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Cluster:
    """Started and ended by process id, with logs in `folder`."""

    def __init__(self, folder: Path, task_managers: int = 2, slots: int = 1) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        conf = folder / "conf"
        shutil.copytree(HOME / "conf", conf)
        options = next(
            line for line in (HOME / "conf" / "config.yaml").read_text().splitlines() if "add-exports" in line
        )
        settings = {
            "env.java.opts.all": options.partition(":")[2].strip(),
            "jobmanager.rpc.address": "127.0.0.1",
            "jobmanager.rpc.port": free_port(),
            "jobmanager.bind-host": "127.0.0.1",
            "jobmanager.memory.process.size": "900m",
            "rest.address": "127.0.0.1",
            "rest.bind-address": "127.0.0.1",
            "rest.port": self.port,
            "taskmanager.bind-host": "127.0.0.1",
            "taskmanager.host": "127.0.0.1",
            "taskmanager.memory.process.size": "1200m",
            "taskmanager.numberOfTaskSlots": slots,
            "taskmanager.load-balance.mode": "SLOTS",
            "heartbeat.interval": 500,
            "heartbeat.timeout": 5000,
            "heartbeat.rpc-failure-threshold": 1,
        }
        (conf / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.job_manager = self.start("jobmanager")
        self.task_managers = [self.start("taskmanager") for _ in range(task_managers)]
        self.wait(lambda: self.ask("/overview")["taskmanagers"] == task_managers, "TaskManagers")

    def start(self, what: str) -> subprocess.Popen[bytes]:
        """Starts one more process."""
        number = len(self.processes)
        environment = {
            **os.environ,
            "FLINK_CONF_DIR": str(self.folder / "conf"),
            "FLINK_LOG_DIR": str(self.folder),
            "FLINK_PID_DIR": str(self.folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        with (self.folder / f"{what}-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", str(HOME / "bin" / f"{what}.sh"), "start-foreground"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.processes.append(process)
        return process

    def ask(self, path: str) -> Any:
        """An answer of the REST service."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
            return json.load(answer)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
        """Until a condition holds; what it gave."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except (OSError, ValueError, KeyError, IndexError):
                pass
            time.sleep(0.1)
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.log"))
        raise TimeoutError(f"no {what} after {seconds} s\n{logs}")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9, with the Python workers it has started."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)
