"""Flink as a job needs it: the environment, its settings, and what to do when something is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

from ..config import Config
from ..errors import ConfigError

__all__ = ["check_installed", "new_environment"]

JAVA = 17
FLINK = (2, 3)


def check_installed() -> None:
    """ConfigError, with the command that helps, if PyFlink or Java is missing or is another version."""
    try:
        from pyflink.version import __version__ as version
    except ImportError as error:
        raise ConfigError(
            "profile='distributed-durable' runs on Apache Flink, whose Python package is not installed in "
            f"{sys.prefix}: pip install 'martlet[flink]'"
        ) from error
    if tuple(map(int, version.split(".")[:2])) != FLINK:
        raise ConfigError(
            f"profile='distributed-durable' works with apache-flink {FLINK[0]}.{FLINK[1]}, and {version} is "
            f"installed: pip install 'apache-flink=={FLINK[0]}.{FLINK[1]}.*'"
        )
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if java is None or not os.path.exists(java):
        where = f"JAVA_HOME={home!r} has no bin/java" if home else "there is no java on the PATH"
        raise ConfigError(
            f"Apache Flink needs Java {JAVA}, and {where}: apt-get install openjdk-{JAVA}-jre-headless (or set "
            "JAVA_HOME to one)"
        )
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)(?:\.(\d+))?', told.stderr)
    release = 0 if found is None else int(found[2] or 0) if found[1] == "1" else int(found[1])
    if not 11 <= release:
        raise ConfigError(
            f"Apache Flink needs Java {JAVA}, and {java} is "
            f"{f'Java {release}' if found else 'not a Java that tells its version'}: apt-get install "
            f"openjdk-{JAVA}-jre-headless, and set JAVA_HOME to it"
        )


def new_environment(config: Config) -> Any:
    """PyFlink's environment for a job of this config."""
    from pyflink.common import Configuration
    from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment

    settings = Configuration()
    for name, value in flink_settings(config).items():
        settings.set_string(name, value)
    environment = StreamExecutionEnvironment.get_execution_environment(settings)
    environment.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    environment.set_parallelism(config.parallelism)
    environment.set_max_parallelism(config.max_parallelism)
    return environment


def flink_settings(config: Config) -> dict[str, str]:
    """Flink's own settings for this config, by their names; those of `Config(flink=)` go last."""
    settings = {
        "rest.port": "0",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "state.backend.type": "rocksdb",
        "restart-strategy.type": "none",
    }
    settings.update(config.flink)
    return settings
