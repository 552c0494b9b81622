#!/usr/bin/env bash
# Runs every executable of the Swift package of examples. Usage: run_swift_examples.sh PYTHON PACKAGE SCRATCH_FOLDER
set -euo pipefail
python=$1
package=$2
scratch=$3
swift=${SWIFT:-swift}
[ -f "$package/Package.swift" ] || exit 0

"$swift" build --configuration release --package-path "$package" --scratch-path "$scratch"
bin=$("$swift" build --configuration release --package-path "$package" --scratch-path "$scratch" --show-bin-path)
names=$("$swift" package --package-path "$package" --scratch-path "$scratch" describe --type json |
  "$python" -c 'import json, sys; print(*(t["name"] for t in json.load(sys.stdin)["targets"] if t["type"] == "executable"))')
for name in $names; do
  echo "--- $package: $name"
  "$bin/$name"
done
