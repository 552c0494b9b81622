"""Checks the shared objects of an installed wheel: what they show, what they need, where they look for it.

Two are ours; those in martlet.libs, RocksDB and what it needs, were put there by auditwheel under names of their own.

Run by `make test-wheel` with the Python of an environment that has nothing but the wheel. Needs binutils.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

# The C and C++ run time of every Linux. Anything else would have to be in the wheel.
SYSTEM_LIBRARIES = {
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
}


def tool_output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def exported_symbols(library: Path) -> set[str]:
    """Names of the defined dynamic symbols."""
    lines = tool_output("nm", "-D", "--defined-only", str(library)).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.strip()}


def dynamic_entries(library: Path, tag: str) -> set[str]:
    """Values of one tag of the dynamic section, such as NEEDED."""
    return set(re.findall(rf"\({tag}\)[^\[]*\[([^\]]*)\]", tool_output("readelf", "-d", "-W", str(library))))


def link_problems(library: Path, needed: set[str], run_paths: set[str]) -> list[str]:
    problems = []
    if missing := sorted(dynamic_entries(library, "NEEDED") - needed):
        problems.append(f"needs {missing}, which a wheel cannot count on")
    entries = dynamic_entries(library, "RUNPATH") | dynamic_entries(library, "RPATH")
    if paths := sorted({path for entry in entries for path in entry.split(":")} - run_paths):
        problems.append(f"looks for libraries in {paths}, which are folders of the machine that built it")
    return [f"{library.name}: {problem}" for problem in problems]


def problems_of(library: Path, prefix: str, needed: set[str]) -> list[str]:
    exported = exported_symbols(library)
    problems = []
    if strangers := sorted(name for name in exported if not name.startswith(prefix)):
        problems.append(f"shows {len(strangers)} symbols that do not begin with {prefix}: {strangers[:5]}")
    if not exported:
        problems.append(f"shows no {prefix} symbol at all")
    named = [f"{library.name}: {problem}" for problem in problems]
    return named + link_problems(library, needed, {"$ORIGIN", "$ORIGIN/../martlet.libs"})


def bundled_problems(bundled: dict[str, Path]) -> list[str]:
    """RocksDB is there, and what is there finds the rest there."""
    problems = []
    if not any(name.startswith("librocksdb-") for name in bundled):
        problems.append(f"martlet.libs: has no RocksDB, only {sorted(bundled)}")
    for name, library in bundled.items():
        # Two copies of one name in a process would be taken for one.
        if not re.match(r"lib\w+-[0-9a-f]{8}\.so", name):
            problems.append(f"{name}: has no name of its own, so that another package's library could be taken for it")
        # zlib is on every machine that has Python, and what manylinux allows.
        problems += link_problems(library, SYSTEM_LIBRARIES | {"libz.so.1"} | set(bundled), {"$ORIGIN"})
    return problems


def main() -> int:
    spec = importlib.util.find_spec("martlet")
    if spec is None or spec.origin is None:
        print("martlet is not installed here", file=sys.stderr)
        return 1
    package = Path(spec.origin).parent
    library = package / "libmartlet.so"
    extensions = sorted(package.glob("_engine*.so"))
    problems = [] if len(extensions) == 1 else [f"{package}: {len(extensions)} extension modules instead of one"]
    bundled = {path.name: path for path in (package.parent / "martlet.libs").glob("*.so*")}
    problems += bundled_problems(bundled)
    problems += problems_of(library, "martlet_", SYSTEM_LIBRARIES | set(bundled))
    if not any(name.startswith("librocksdb-") for name in dynamic_entries(library, "NEEDED")):
        problems.append(f"{library.name}: is not linked with the RocksDB of the wheel")
    for extension in extensions:
        problems += problems_of(extension, "PyInit_", SYSTEM_LIBRARIES | {"libmartlet.so"})
        if "libmartlet.so" not in dynamic_entries(extension, "NEEDED"):
            problems.append(f"{extension.name}: is not linked with libmartlet.so")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        size, symbols = library.stat().st_size / 1e6, len(exported_symbols(library))
        print(f"libmartlet.so ({size:.1f} MB): {symbols} symbols, martlet_* only; needs the C and C++ run time,")
        print(f"and of the wheel: {', '.join(sorted(bundled))}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
