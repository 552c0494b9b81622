#!/usr/bin/env bash
# Compiles the Java classes of python/martlet/flink/java into the jar beside them, which is committed: building the package needs
# no JDK. Needs javac 17 and the jars of PyFlink. Usage: build_flink_jar.sh PYTHON_WITH_PYFLINK
set -euo pipefail
cd "$(dirname "$0")/.."
home=$("$1" -c 'import os, pyflink; print(os.path.dirname(pyflink.__file__))')
folder=python/martlet/flink/java
classes=$(mktemp -d)
trap 'rm -rf "$classes"' EXIT
javac --release 11 -Werror -Xlint:all,-processing,-classfile,-rawtypes -cp "$home/lib/*:$home/opt/*" -d "$classes" "$folder"/*.java
# The same bytes whenever it is built: one date for every entry, in order of their names.
"$1" - "$classes" "$folder/martlet-flink.jar" <<'PYTHON'
import pathlib, sys, zipfile
classes, jar = pathlib.Path(sys.argv[1]), sys.argv[2]
with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
    for path in sorted(classes.rglob("*.class")):
        archive.writestr(zipfile.ZipInfo(path.relative_to(classes).as_posix(), (1980, 1, 1, 0, 0, 0)), path.read_bytes())
PYTHON
ls -l "$folder/martlet-flink.jar"
