"""Builds the two shared objects of the wheel; everything else about the package is in pyproject.toml.

1. `libmartlet.so`, the Swift engine behind its C interface, with the Swift runtime linked in. The flags that make it
   self-contained are given here and not in Package.swift, because a package with unsafe flags cannot be used as a
   dependency by version. It is linked with the RocksDB of this machine, which `make wheel` puts into the wheel.
2. `martlet._engine`, the CPython extension, which finds `libmartlet.so` beside itself.

The Swift build is kept in `.build-wheel`, so that building again compiles only what has changed.
Environment: `SWIFT` names the `swift` to use; `CC` the C compiler.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import ExecError, PlatformError

ROOT = Path(__file__).resolve().parent
SCRATCH = ROOT / ".build-wheel"
LIBRARY = "libmartlet.so"
EXPORTS = ROOT / "tools" / "exports"
OLDEST_SWIFT = (6, 0)


def find_swift() -> str:
    """The path of `swift`; an explained error when there is none or it is too old."""
    name = os.environ.get("SWIFT", "swift")
    swift = shutil.which(name)
    if swift is None:
        raise ExecError(
            f"building martlet needs the Swift toolchain {OLDEST_SWIFT[0]}.{OLDEST_SWIFT[1]} or newer, and '{name}' is "
            "not on the PATH. Install it from https://www.swift.org/install/linux/ (or set SWIFT to the swift "
            "command), or install a ready-made wheel of martlet, which needs no Swift."
        )
    version = subprocess.run([swift, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"Swift version (\d+)\.(\d+)", version.stdout)
    if found is None:
        raise ExecError(f"'{swift} --version' does not work: {(version.stderr or version.stdout).strip()}")
    if (int(found[1]), int(found[2])) < OLDEST_SWIFT:
        oldest = ".".join(map(str, OLDEST_SWIFT))
        raise ExecError(f"building martlet needs Swift {oldest} or newer; {swift} is {found[1]}.{found[2]}.")
    return swift


def check_rocksdb(swift: str) -> None:
    """An explained error when RocksDB or its headers are missing; the compiler's own would be about a Swift module."""
    clang = Path(os.path.realpath(swift)).parent / "clang"
    command = [str(clang) if clang.exists() else "cc", "-x", "c", "-", "-lrocksdb", "-o", os.devnull]
    program = "#include <rocksdb/c.h>\nint main(void) { rocksdb_free(0); return 0; }\n"
    result = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ExecError(
            "building martlet needs RocksDB with its C headers. Install it (Debian, Ubuntu: apt-get install "
            "librocksdb-dev), or install a ready-made wheel of martlet, which has it inside. The compiler said: "
            + (result.stderr.strip() or f"exit status {result.returncode}")
        )


def build_library() -> Path:
    """Builds libmartlet.so and returns its path."""
    if not sys.platform.startswith("linux"):
        raise PlatformError(f"the martlet wheel can be built on Linux; this is {sys.platform}.")
    swift = find_swift()
    check_rocksdb(swift)
    linker_flags = [
        f"--version-script={EXPORTS / 'libmartlet.map'}",
        f"-soname={LIBRARY}",
        "--gc-sections",
        "-s",
    ]
    command = [swift, "build", "--configuration", "release", "--product", "martlet"]
    command += ["--package-path", str(ROOT), "--scratch-path", str(SCRATCH)]
    # lld comes with Swift. gold, the default, leaves local symbols of the engine in the dynamic symbol table.
    command += ["-Xswiftc", "-static-stdlib", "-Xswiftc", "-use-ld=lld"]
    for flag in linker_flags:
        command += ["-Xlinker", flag]
    print(" ".join(command), flush=True)
    if subprocess.run(command, check=False).returncode != 0:
        raise ExecError("the Swift engine did not compile; the messages of 'swift build' are above.")
    show = subprocess.run([*command, "--show-bin-path"], capture_output=True, text=True, check=True)
    return Path(show.stdout.strip()) / LIBRARY


class BuildEngine(build_ext):
    """Builds the Swift library first, and puts it where the extension goes."""

    def build_extensions(self) -> None:
        library = build_library()
        self.use_clang_without_cc()
        self.forget_build_machine_paths()
        for extension in self.extensions:
            extension.library_dirs.append(str(library.parent))
            # A changed engine relinks the extension, so that both are always of one build.
            extension.depends.append(str(library))
        super().build_extensions()
        for extension in self.extensions:
            self.copy_library(library, Path(self.get_ext_fullpath(extension.name)).parent)

    def use_clang_without_cc(self) -> None:
        """Where Python's own C compiler is not installed, takes the clang that comes with Swift."""
        compiler = self.compiler.compiler_so[0]
        clang = Path(os.path.realpath(find_swift())).parent / "clang"
        if "CC" in os.environ or shutil.which(compiler) or not clang.exists():
            return
        for command in ("compiler", "compiler_so", "compiler_cxx", "linker_so"):
            self.compiler.set_executable(command, [str(clang), *getattr(self.compiler, command)[1:]])

    def forget_build_machine_paths(self) -> None:
        """Drops the run path of the Python that builds: a wheel looks for its library beside itself only."""
        command = [part for part in self.compiler.linker_so if not part.startswith(("-Wl,-rpath", "-Wl,-R"))]
        self.compiler.set_executable("linker_so", command)

    def copy_extensions_to_source(self) -> None:
        """An editable install: the library goes into the source tree with the extension."""
        super().copy_extensions_to_source()
        for built, in_tree in self.library_files().items():
            self.copy_library(Path(built), Path(in_tree).parent)

    def copy_library(self, library: Path, folder: Path) -> None:
        """Replaces, never overwrites: a process that has the old one mapped keeps it."""
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".{LIBRARY}.new"
        shutil.copy2(library, fresh)
        os.replace(fresh, folder / LIBRARY)

    def library_files(self) -> dict[str, str]:
        """Where the library is in the build folder → where it belongs in the source tree."""
        build_py = self.get_finalized_command("build_py")
        package = Path(build_py.get_package_dir("martlet"))
        return {str(Path(self.build_lib) / "martlet" / LIBRARY): str(package / LIBRARY)}

    def get_outputs(self) -> list[str]:
        return [*super().get_outputs(), *self.library_files()]

    def get_output_mapping(self) -> dict[str, str]:
        mapping: dict[str, str] = super().get_output_mapping()
        return {**mapping, **(self.library_files() if self.inplace else {})}


ENGINE = Path("python") / "_engine"

setup(
    ext_modules=[
        Extension(
            "martlet._engine",
            sources=sorted(str(path.relative_to(ROOT)) for path in (ROOT / ENGINE).glob("*.c")),
            depends=[
                *sorted(str(path.relative_to(ROOT)) for path in (ROOT / ENGINE).glob("*.h")),
                *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "Sources" / "CMartlet").rglob("*.h")),
                "tools/exports/engine.map",
            ],
            include_dirs=["Sources/CMartlet/include", str(ENGINE)],
            libraries=["martlet"],
            runtime_library_dirs=["$ORIGIN"],
            extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra"],
            extra_link_args=[f"-Wl,--version-script={EXPORTS / 'engine.map'}", "-Wl,--gc-sections", "-Wl,-s"],
        )
    ],
    cmdclass={"build_ext": BuildEngine},
)
