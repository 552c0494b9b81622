#!/usr/bin/env bash
# Installs the system packages that building needs and this machine lacks, with apt. Does nothing, quickly, when all is
# there. Usage: system_packages.sh PYTHON SWIFT
set -euo pipefail
python=$1
swift=$2

fail() {
  echo "error: $*" >&2
  exit 1
}

command -v "$swift" >/dev/null ||
  fail "the Swift toolchain 6.0 or newer is needed, and '$swift' is not on the PATH: see https://www.swift.org/install/linux/"
command -v "$python" >/dev/null || fail "Python 3.11 or newer is needed, and '$python' is not on the PATH"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or newer is needed; '$python' is $("$python" -V). Name another: make PYTHON=python3.12"

packages=()
# The linker and the C and C++ libraries that Swift links with, and the compiler that Python builds extensions with.
command -v ld >/dev/null && command -v nm >/dev/null || packages+=(binutils)
command -v gcc >/dev/null && command -v g++ >/dev/null || packages+=(gcc g++ libc6-dev)
command -v git >/dev/null || packages+=(git)
# What the package manager of Swift itself is linked with.
"$swift" build --version >/dev/null 2>&1 || packages+=(libcurl4 libedit2 libncurses6 libsqlite3-0 libxml2 tzdata zlib1g)
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
  packages+=(python3-dev)
# What state on disk is kept in; pkg-config tells Swift where it is if that is no usual place.
[ -e /usr/include/rocksdb/c.h ] || { command -v pkg-config >/dev/null && pkg-config --exists rocksdb; } || packages+=(librocksdb-dev)

# The server that the tests of PostgreSQL start for themselves.
command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || packages+=(postgresql)

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

apt_install() {
  echo "installing $*"
  "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null
}

if [ ${#packages[@]} -gt 0 ]; then
  command -v apt-get >/dev/null ||
    fail "these are missing, by their Debian names; install what your system calls them: ${packages[*]}"
  [ ${#as_root[@]} = 0 ] || command -v sudo >/dev/null ||
    fail "these packages are missing, and there is no sudo; as root: apt-get install ${packages[*]}"
  apt_install "${packages[@]}"
fi

# Only the tests on Apache Flink need Java, and they are skipped without.
command -v java >/dev/null || [ -x "${JAVA_HOME:-}/bin/java" ] || apt_install openjdk-17-jre-headless ||
  echo "note: Java 17 could not be installed: the tests on Apache Flink will be skipped" >&2

"$swift" build --version >/dev/null || fail "'$swift build' does not run on this machine"
