"""Tests on Apache Flink. They run in an environment of their own (`make test-flink`), because PyFlink pins versions of
packages that the other tests need newer."""

from __future__ import annotations

import sys
from pathlib import Path

# Programs that the other tests have, and that are run here as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
