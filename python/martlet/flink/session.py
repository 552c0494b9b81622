"""Flink as a job needs it: the environment, its settings, and what to do when something is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from ..backends import InMemoryStateBackend
from ..config import Config
from ..errors import ConfigError
from .jars import JARS, given_jars
from .kafka_settings import PREFIX

__all__ = ["check_installed", "check_java", "flink_settings", "flink_uri", "new_environment", "share_classes"]

JAVA = 17
JAR = Path(__file__).parent.joinpath("java", "martlet-flink.jar").absolute()
FLINK = (2, 3)
# Of a gateway to Java: the class loader that has our classes.
_loaders: dict[Any, Any] = {}


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
    check_java()


def check_java() -> None:
    """ConfigError, with the command that helps, if there is no Java that Flink runs on."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None or not Path(java).exists():
        where = f"JAVA_HOME={home!r} has no bin/java" if home else "there is no java on the PATH"
        raise ConfigError(
            f"Apache Flink needs Java {JAVA}, and {where}: apt-get install openjdk-{JAVA}-jre-headless (or set "
            "JAVA_HOME to one)"
        )
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)(?:\.(\d+))?', told.stderr)
    release = 0 if found is None else int(found[2] or 0) if found[1] == "1" else int(found[1])
    if not release >= 11:
        raise ConfigError(
            f"Apache Flink needs Java {JAVA}, and {java} is "
            f"{f'Java {release}' if found else 'not a Java that tells its version'}: apt-get install "
            f"openjdk-{JAVA}-jre-headless, and set JAVA_HOME to it"
        )


def share_classes() -> None:
    """Has the thread of Java that serves this one find our classes, which are the same for all of its threads.

    PyFlink gives each of them a class loader of its own. But any of them may serve the next call, and Py4J remembers
    methods by the names of classes: those of another loader's class do not take our object.
    """
    from pyflink.java_gateway import get_gateway
    from pyflink.util.java_utils import create_url_class_loader

    gateway = get_gateway()
    thread = gateway.jvm.Thread.currentThread()
    if gateway not in _loaders:
        urls = [gateway.jvm.java.net.URL(JAR.as_uri())]
        _loaders[gateway] = create_url_class_loader(urls, thread.getContextClassLoader())
    thread.setContextClassLoader(_loaders[gateway])


def new_environment(config: Config) -> Any:
    """PyFlink's environment for a job of this config."""
    from pyflink.common import Configuration
    from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment

    settings = Configuration()
    for name, value in flink_settings(config).items():
        settings.set_string(name, value)
    if config.cluster is None:
        environment = StreamExecutionEnvironment.get_execution_environment(settings)
    else:
        environment = _remote(config.cluster, settings)
    share_classes()
    environment.add_jars(*(path.as_uri() for path in (JAR, *given_jars(config))))
    environment.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    environment.set_parallelism(config.parallelism)
    environment.set_max_parallelism(config.max_parallelism)
    return environment


def _remote(cluster: str, settings: Any) -> Any:
    """An environment whose jobs run on a cluster. What PyFlink's operators need of Java travels with each job."""
    import pyflink
    from pyflink.datastream import StreamExecutionEnvironment
    from pyflink.java_gateway import get_gateway

    host, _, port = cluster.rpartition(":")
    check_cluster(cluster)
    (jar,) = Path(pyflink.__file__).parent.glob("opt/flink-python-*.jar")
    gateway = get_gateway()
    jars = gateway.new_array(gateway.jvm.java.lang.String, 1)
    jars[0] = str(jar)
    remote = gateway.jvm.org.apache.flink.streaming.api.environment.RemoteStreamEnvironment
    return StreamExecutionEnvironment(remote(host, int(port), settings._j_configuration, jars, None))


def check_cluster(cluster: str) -> None:
    """ConfigError if no cluster of this version answers at this address."""
    from pyflink.version import __version__ as version

    try:
        with urllib.request.urlopen(f"http://{cluster}/config", timeout=10) as answer:
            found = json.load(answer)["flink-version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"cluster={cluster!r}: no REST service of Apache Flink answers there ({error}); start a cluster with "
            "bin/start-cluster.sh of Flink, or leave cluster= out for a mini-cluster in this machine"
        ) from error
    if found.split(".")[:2] != version.split(".")[:2]:
        raise ConfigError(
            f"cluster={cluster!r} is Apache Flink {found}, and the package installed here is {version}: pip install "
            f"'apache-flink=={found}'"
        )


def flink_settings(config: Config) -> dict[str, str]:
    """Flink's own settings for this config, by their names; those of `Config(flink=)` go last."""
    in_memory = isinstance(config.state_backend, InMemoryStateBackend)
    settings = {
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "state.backend.type": "hashmap" if in_memory else "rocksdb",
        # A function that raises raises again: without checkpoints a restart would begin at the first record.
        "restart-strategy.type": "none",
    }
    if config.cluster is None:
        settings["rest.port"] = "0"
    if config.state_dir is not None:
        settings |= {
            "execution.checkpointing.dir": flink_uri(config.state_dir),
            "execution.checkpointing.savepoint-dir": flink_uri(config.state_dir),
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            "execution.checkpointing.num-retained": str(config.retained_checkpoints),
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "3",
            "restart-strategy.fixed-delay.delay": "1 s",
        }
        if config.checkpoint_interval is not None:
            settings["execution.checkpointing.interval"] = f"{config.checkpoint_interval} ms"
    if config.restore_from is not None:
        settings["execution.state-recovery.path"] = flink_uri(config.restore_from)
    # Jars are added one by one, and what is for Kafka's client goes to sources and sinks.
    own = {name: value for name, value in config.flink if name != JARS and not name.startswith(PREFIX)}
    return {**settings, **own}


def flink_uri(path: Path) -> str:
    """A directory as Flink takes it. Path turns the two slashes of a URI into one."""
    found = re.fullmatch(r"([a-z][a-z0-9+.\-]+):/+(.*)", str(path))
    if found is None:
        return path.absolute().as_uri()
    return f"{found[1]}:///{found[2]}" if found[1] == "file" else f"{found[1]}://{found[2]}"
