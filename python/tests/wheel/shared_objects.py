"""Checks the two shared objects of an installed wheel: what they show, what they need, where they look for it.

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


def problems_of(library: Path, prefix: str, needed: set[str]) -> list[str]:
    exported = exported_symbols(library)
    problems = []
    if strangers := sorted(name for name in exported if not name.startswith(prefix)):
        problems.append(f"shows {len(strangers)} symbols that do not begin with {prefix}: {strangers[:5]}")
    if not exported:
        problems.append(f"shows no {prefix} symbol at all")
    if missing := sorted(dynamic_entries(library, "NEEDED") - needed):
        problems.append(f"needs {missing}, which a wheel cannot count on")
    if paths := sorted((dynamic_entries(library, "RUNPATH") | dynamic_entries(library, "RPATH")) - {"$ORIGIN"}):
        problems.append(f"looks for libraries in {paths}, which are folders of the machine that built it")
    return [f"{library.name}: {problem}" for problem in problems]


def main() -> int:
    spec = importlib.util.find_spec("martlet")
    if spec is None or spec.origin is None:
        print("martlet is not installed here", file=sys.stderr)
        return 1
    package = Path(spec.origin).parent
    library = package / "libmartlet.so"
    extensions = sorted(package.glob("_engine*.so"))
    problems = [] if len(extensions) == 1 else [f"{package}: {len(extensions)} extension modules instead of one"]
    problems += problems_of(library, "martlet_", SYSTEM_LIBRARIES)
    for extension in extensions:
        problems += problems_of(extension, "PyInit_", SYSTEM_LIBRARIES | {"libmartlet.so"})
        if "libmartlet.so" not in dynamic_entries(extension, "NEEDED"):
            problems.append(f"{extension.name}: is not linked with libmartlet.so")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        size, symbols = library.stat().st_size / 1e6, len(exported_symbols(library))
        print(f"libmartlet.so ({size:.1f} MB): {symbols} symbols, martlet_* only; needs the C and C++ run time only")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
