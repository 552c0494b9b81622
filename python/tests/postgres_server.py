"""A PostgreSQL server of the tests' own: Debian's `postgresql`, a temporary directory, a Unix socket in it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def programs() -> Path | None:
    """Where `initdb` and `postgres` are: on the PATH, or where Debian puts them; the newest version."""
    if (found := shutil.which("initdb")) and shutil.which("postgres"):
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return installed[-1].parent if installed else None


class Server:
    """A running server; `dsn` is how to reach it."""

    def __init__(self, directory: Path, binaries: Path) -> None:
        self._directory = directory
        self._binaries = binaries
        # The server refuses to run as root.
        self._as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        self.dsn = f"host={directory} user=martlet dbname=postgres"
        self._process: subprocess.Popen[bytes] | None = None
        if self._as_user:
            os.chown(directory, pwd.getpwnam("nobody").pw_uid, -1)
        self._run(
            "initdb", "-D", str(directory / "data"), "-U", "martlet", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"
        )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments], capture_output=True, cwd=self._directory, text=True, **self._as_user
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def start(self) -> None:
        command = [self._binaries / "postgres", "-D", self._directory / "data", "-k", self._directory, "-h", ""]
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*command, "-F"], stdout=log, stderr=log, cwd=self._directory, **self._as_user
            )
        import psycopg

        for _ in range(300):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn).close()
                return
            assert self._process.poll() is None, (self._directory / "log").read_text()
            signal.sigtimedwait([], 0.05)
        raise AssertionError((self._directory / "log").read_text())

    def stop(self) -> None:
        """At once: connections break, transactions roll back."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None


@contextlib.contextmanager
def server() -> Iterator[Server]:
    binaries = programs()
    assert binaries is not None
    with tempfile.TemporaryDirectory(prefix="martlet-pg-") as directory:
        running = Server(Path(directory), binaries)
        running.start()
        try:
            yield running
        finally:
            running.stop()
