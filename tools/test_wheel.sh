#!/usr/bin/env bash
# Installs a wheel in a fresh virtual environment, from which no Swift can be reached, and uses it there.
# Usage: test_wheel.sh PYTHON WHEEL FOLDER
set -euo pipefail
base=$("$1" -c 'import sys; print(sys.executable)')
wheel=$(realpath "$2")
folder=$3
here=$(cd "$(dirname "$0")/.." && pwd)

case $wheel in
  *-manylinux_*) ;;
  *)
    echo "error: $wheel has no manylinux tag, so that package indexes refuse it; what auditwheel said is above" >&2
    exit 1
    ;;
esac
rm -rf "$folder"
"$base" -m venv "$folder/venv"
venv=$(realpath "$folder/venv")
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$wheel"

# From here on: an empty environment, a PATH without Swift, and a folder without the sources.
clean=(env -i "PATH=$venv/bin:/usr/bin:/bin" "HOME=$venv" LANG=C.UTF-8)
cd "$venv"
if "${clean[@]}" sh -c 'command -v swift' >/dev/null; then
  echo "warning: there is a swift in /usr/bin or /bin, so that this does not show that the wheel runs without one" >&2
fi
"${clean[@]}" python "$here/python/tests/wheel/shared_objects.py"
"${clean[@]}" python "$here/python/tests/wheel/smoke.py"
