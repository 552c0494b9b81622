#!/usr/bin/env bash
# Reads checkpoints with changed bytes for longer than the tests do. A failure names the seed that found it.
# Usage: tools/fuzz_checkpoints.sh [ROUNDS] [FIRST_SEED]
set -euo pipefail
cd "$(dirname "$0")/.."
MARTLET_FUZZ_ROUNDS=${1:-100000} MARTLET_FUZZ_SEED=${2:-$RANDOM$RANDOM} \
  "${SWIFT:-swift}" test --disable-xctest --scratch-path .build --filter CheckpointFuzzTests
