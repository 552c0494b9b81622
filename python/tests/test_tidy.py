"""Reads the sources and holds them to the rules of the house (CONTRIBUTING.md), so that no reviewer has to.

Each rule is a function from a source tree to a list of complaints. The rules run on this tree, and on small trees with
planted faults, to show that they find them.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What stands further down may mention what stands above it, never the other way round, nor its neighbour in a row.
LAYERS = [
    ["Support"],
    ["Record", "Time"],
    ["Key"],
    ["State"],
    ["Timer"],
    ["Emit"],
    ["Operator"],
    ["Checkpoint"],
    ["Run"],
]
LEVEL = {folder: level for level, row in enumerate(LAYERS) for folder in row}
LONGEST_FILE = 500

# ---- reading sources --------------------------------------------------------------------------------

STRINGS_AND_COMMENTS = re.compile(
    r"""
      //[^\n]* | /\*.*?\*/                          # comments
    | \#*\"\"\".*?\"\"\"\#*                         # Swift's strings of several lines
    | \#"[^\n]*?"\# | "(?:\\.|[^"\\\n])*"           # strings
    | '(?:\\.|[^'\\\n])'                            # C's characters
    """,
    re.VERBOSE | re.DOTALL,
)


def code_of(path: Path) -> str:
    """The text of a Swift or C file without comments and the content of strings; lines keep their numbers."""

    def blank(match: re.Match[str]) -> str:
        is_comment = match[0].startswith(("//", "/*"))
        return (" " if is_comment else '""') + "\n" * match[0].count("\n")

    return STRINGS_AND_COMMENTS.sub(blank, path.read_text())


def files(root: Path, folder: str, *suffixes: str) -> Iterator[Path]:
    for path in sorted((root / folder).rglob("*")):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)
        if path.suffix in suffixes and path.is_file() and not hidden:
            yield path


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


# ---- rules ------------------------------------------------------------------------------------------

MODIFIERS = r"(?:(?:@\w+(?:\([^)\n]*\))?|public|package|internal|open|final|indirect|nonisolated)\s+)*"
KIND_OF_TYPE = r"(?:struct|class|enum|protocol|actor|typealias)"
TOP_LEVEL_TYPE = re.compile(rf"^{MODIFIERS}{KIND_OF_TYPE}\s+([A-Z]\w*)", re.MULTILINE)
ANY_LOCAL_NAME = re.compile(rf"\b(?:{KIND_OF_TYPE}|associatedtype)\s+([A-Z]\w*)")
GENERIC_PARAMETERS = re.compile(
    r"\b(?:func|struct|class|enum|actor|typealias|init|subscript)\b[^<>(){}\n]*<([^>(){}]*)>"
)
MENTION = re.compile(r"(?<![\w.])(?:Martlet\.)?([A-Z]\w*)")


def layers_point_one_way(root: Path) -> list[str]:
    """The engine's folders depend in one direction only: see LAYERS."""
    engine = root / "Sources" / "Martlet"
    code = {path: code_of(path) for path in files(root, "Sources/Martlet", ".swift")}
    folder_of = {path: path.relative_to(engine).parts[0] for path in code}
    complaints = [
        f"{path.relative_to(root)}: is in no layer; they are {', '.join(LEVEL)}"
        for path in code
        if folder_of[path] not in LEVEL
    ]
    home: dict[str, Path] = {}
    for path, text in code.items():
        for match in TOP_LEVEL_TYPE.finditer(text):
            home.setdefault(match[1], path)
    for path, text in code.items():
        own = {match[1] for match in ANY_LOCAL_NAME.finditer(text)}
        for match in GENERIC_PARAMETERS.finditer(text):
            own.update(re.findall(r"(?:^|,)\s*(?:each\s+)?([A-Z]\w*)", match[1]))
        seen = set()
        for match in MENTION.finditer(text):
            name, there = match[1], home.get(match[1])
            here = folder_of[path]
            if there is None or name in own or name in seen or folder_of[there] == here:
                continue
            if LEVEL.get(here, -1) <= LEVEL.get(folder_of[there], -1):
                seen.add(name)
                where = f"{path.relative_to(root)}:{line_of(text, match.start())}"
                complaints.append(f"{where}: {here} mentions {name}, which is defined in {there.relative_to(engine)}")
    return complaints


def engine_has_no_foundation(root: Path) -> list[str]:
    """Foundation is large, and not needed by what runs per record."""
    pattern = re.compile(r"^\s*(?:@\w+\s+|public\s+|internal\s+)*import\s+(?:\w+\s+)?Foundation\w*", re.MULTILINE)
    return [
        f"{path.relative_to(root)}:{line_of(text, match.start())}: imports Foundation"
        for path in files(root, "Sources/Martlet", ".swift")
        if (text := code_of(path)) is not None
        for match in pattern.finditer(text)
    ]


def manifest_has_no_unsafe_flags(root: Path) -> list[str]:
    """A package with unsafe flags cannot be used as a dependency by version."""
    text = (root / "Package.swift").read_text()
    return [f"Package.swift: has {flag}" for flag in ("unsafeFlags", "-Ounchecked") if flag in text]


def engine_needs_no_rocksdb(root: Path) -> list[str]:
    """Who wants state in memory only builds the product Martlet without RocksDB installed."""
    text = (root / "Package.swift").read_text()
    if re.search(r'\.target\(\s*name: "Martlet",\s*dependencies: \["CMartlet"\]\)', text):
        return []
    return ['Package.swift: the target Martlet depends on more than ["CMartlet"]']


def files_are_short(root: Path) -> list[str]:
    """One concern a file."""
    return [
        f"{path.relative_to(root)}: {lines} lines; at most {LONGEST_FILE}. Split it by concern"
        for folder in ("Sources", "python", "Tests")
        for path in files(root, folder, ".swift", ".c", ".h", ".py", ".pyi")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    ]


# Tables whose types CPython's API takes without const; nothing writes to them after the import.
CPYTHON_TABLES = re.compile(
    r"\b(?:PyModuleDef|PyModuleDef_Slot|PyMethodDef|PyMemberDef|PyGetSetDef|PyType_Slot|PyType_Spec|"
    r"PyStructSequence_Field|PyStructSequence_Desc)\b|\bchar \*(?:kwlist|keywords)\["
)
STATIC_LOCAL = re.compile(r"\b(?:static|_Thread_local|thread_local)\b[^;={}]*[;=]")


def is_mutable_variable(declaration: str) -> bool:
    """Whether a C declaration at file scope, without its initialiser, is of a variable that can change."""
    text = " ".join(declaration.split())
    if not text or text.startswith(("typedef", "#")) or CPYTHON_TABLES.search(text):
        return False
    if re.fullmatch(r"(?:struct|union|enum) \w+", text) or re.search(r"_Static_assert|static_assert", text):
        return False
    if "(" in text and "(*" not in text:
        return False  # a prototype, or a macro that stands for one
    if "(*" in text and re.match(r"[^(]*\w \**\w+\(", text):
        return False  # a prototype with a function pointer among its parameters
    own_part = text.rsplit("*", 1)[-1]
    return not re.search(r"\bconst\b", own_part)


def mutable_variables(text: str) -> Iterator[tuple[int, str]]:
    """The variables with static lifetime in C code that are not const: their line and declaration."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: "\n" * match[0].count("\n"), text, flags=re.MULTILINE)
    text = re.sub(r'extern\s+""\s*\{', "", text)
    depth, start, head = 0, 0, None
    for position, character in enumerate(text):
        if character == "{":
            if depth == 0:
                head = (start, text[start:position])
            depth += 1
        elif character == "}":
            depth = max(0, depth - 1)
            if depth == 0 and head is not None:
                begin, before = head
                if before.rstrip().endswith(")"):  # a function: look for statics in its body
                    for match in STATIC_LOCAL.finditer(text, begin + len(before), position):
                        if is_mutable_variable(match[0].rstrip(";=")):
                            yield line_of(text, match.start()), " ".join(match[0].split())
                    start, head = position + 1, None
        elif character == ";" and depth == 0:
            begin, declaration = head if head is not None else (start, text[start:position])
            is_type = head is not None and "=" not in declaration
            declaration = text[text.rfind("}", begin, position) + 1 : position] if is_type else declaration
            if not (is_type and head is not None and head[1].strip().startswith("typedef")):
                declaration = declaration.split("=", 1)[0]
                if is_mutable_variable(declaration):
                    first = begin + len(text[begin:position]) - len(text[begin:position].lstrip())
                    yield line_of(text, first), " ".join(declaration.split())
            start, head = position + 1, None


def extension_has_no_global_state(root: Path) -> list[str]:
    """Module state only: sub-interpreters and free threading cannot work with variables of the process."""
    return [
        f"{path.relative_to(root)}:{line}: '{declaration}' can change; keep it in the module state, or make it const"
        for path in files(root, "python/_engine", ".c", ".h")
        for line, declaration in mutable_variables(code_of(path))
    ]


# The contract, and the part of it that has a file of its own.
CONTRACT = (
    "martlet.h",
    "martlet_state.h",
    "martlet_harness.h",
    "martlet_source.h",
    "martlet_workers.h",
    "martlet_checkpoint.h",
    "martlet_state_files.h",
)


def declared_functions(root: Path) -> set[str]:
    headers = [path for path in files(root, "Sources/CMartlet/include", ".h") if path.name in CONTRACT]
    text = "\n".join(map(code_of, headers))
    return set(re.findall(r"^[a-z][\w \*]*?\b(martlet_\w+)\(", text, flags=re.MULTILINE))


def abi_is_defined_once(root: Path) -> list[str]:
    """@_cdecl checks nothing against the header: what is declared is defined exactly once, and nothing more."""
    defined = defaultdict(list)
    for path in files(root, "Sources/MartletABI", ".swift"):
        for name in re.findall(r'^\s*@(?:_cdecl|c)\(\s*"?(\w+)"?\s*\)', path.read_text(), flags=re.MULTILINE):
            defined[name].append(path.name)
    declared = declared_functions(root)
    complaints = [f"martlet.h: {name} is defined nowhere in MartletABI" for name in sorted(declared - set(defined))]
    complaints += [f"{defined[name][0]}: {name} is not in martlet.h" for name in sorted(set(defined) - declared)]
    complaints += [
        f"{name} is defined in {' and '.join(places)}" for name, places in sorted(defined.items()) if len(places) > 1
    ]
    return complaints


def abi_is_called_from_c(root: Path) -> list[str]:
    """A C program calls every function of the header, under AddressSanitizer."""
    code = "\n".join(code_of(path) for path in files(root, "Tests/ABISmoke", ".c", ".h"))
    called = set(re.findall(r"\b(martlet_\w+)\s*\(", code))
    return [f"Tests/ABISmoke: does not call {name}" for name in sorted(declared_functions(root) - called)]


def versions_agree(root: Path) -> list[str]:
    """pyproject.toml has the version; martlet_version() says the same."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if any(f'"{version}"' in path.read_text() for path in files(root, "Sources", ".swift")):
        return []
    return [f"Sources: martlet_version() does not say {version}, the version in pyproject.toml"]


RULES: list[Callable[[Path], list[str]]] = [
    layers_point_one_way,
    engine_has_no_foundation,
    engine_needs_no_rocksdb,
    manifest_has_no_unsafe_flags,
    files_are_short,
    extension_has_no_global_state,
    abi_is_defined_once,
    abi_is_called_from_c,
    versions_agree,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_this_tree_keeps(rule: Callable[[Path], list[str]]) -> None:
    complaints = rule(ROOT)
    assert not complaints, f"{rule.__doc__}\n" + "\n".join(complaints)


# ---- the rules find what they are for ---------------------------------------------------------------

GOOD_TREE = {
    "Package.swift": '.target(name: "Martlet", dependencies: ["CMartlet"])',
    "pyproject.toml": '[project]\nversion = "1.2.3"',
    "Sources/CMartlet/include/martlet.h": (
        "int32_t martlet_a(void);\n/* martlet_gone() */\nchar *martlet_b(int (*f)(int));"
    ),
    "Sources/MartletABI/All.swift": '@_cdecl("martlet_a")\nfunc a() { "1.2.3" }\n@_cdecl("martlet_b")\nfunc b() {}',
    "Sources/Martlet/Support/Low.swift": "struct Low {}\n",
    "Sources/Martlet/Key/Middle.swift": "// before State there is Slot\nstruct Middle<Slot> { var low: Low }\n",
    "Sources/Martlet/State/Slot.swift": "public struct Slot { var middle: Middle<Int>; enum Low { case x } }\n",
    "Tests/ABISmoke/main.c": "int main(void) { return martlet_a() + (martlet_b(0) != 0); }",
    "python/_engine/module.c": (
        "static const int sizes[] = {1, 2};\nstatic const char *const names[2] = {0};\nstruct a { int b; };\n"
        "/* pairs */\ntypedef struct { int c; } d;\nstatic PyMethodDef methods[] = {{0}};\n"
        "static int f(int (*g)(void));\n"
        "static int h(void) {\n  static const int k = 1;\n  int m = 0;\n  return m + k;\n}\n"
        "#define N(x) \\\n  int x = 1;\n"
    ),
}

FAULTS = [
    (
        layers_point_one_way,
        "Sources/Martlet/Support/Low.swift",
        "struct Low { var slot: Slot }",
        "Support mentions Slot",
    ),
    (layers_point_one_way, "Sources/Martlet/Time/T.swift", "struct T {}\nextension Middle {}", "Time mentions Middle"),
    (layers_point_one_way, "Sources/Martlet/Stuff/S.swift", "struct S {}", "in no layer"),
    (engine_has_no_foundation, "Sources/Martlet/Key/F.swift", "import FoundationEssentials", "imports Foundation"),
    (
        engine_needs_no_rocksdb,
        "Package.swift",
        '.target(name: "Martlet", dependencies: ["CMartlet", "CRocksDB"])',
        "more than",
    ),
    (manifest_has_no_unsafe_flags, "Package.swift", "unsafeFlags([])", "unsafeFlags"),
    (files_are_short, "python/martlet/long.py", "x = 1\n" * 501, "501 lines"),
    (extension_has_no_global_state, "python/_engine/a.c", "static int counter;", "'static int counter'"),
    (extension_has_no_global_state, "python/_engine/a.c", "PyObject *cache = NULL;", "'PyObject *cache'"),
    (extension_has_no_global_state, "python/_engine/a.c", "static const char *last = 0;", "'static const char *last'"),
    (
        extension_has_no_global_state,
        "python/_engine/a.c",
        "int f(void) {\n  static int n = 0;\n  return n;\n}",
        "a.c:2",
    ),
    (extension_has_no_global_state, "python/_engine/a.c", "static struct { int n; } table;", "'table'"),
    (extension_has_no_global_state, "python/_engine/a.c", "static void (*hook)(void);", "hook"),
    (abi_is_defined_once, "Sources/MartletABI/All.swift", '@_cdecl("martlet_a")', "martlet_b is defined nowhere"),
    (abi_is_defined_once, "Sources/MartletABI/More.swift", '@_cdecl("martlet_a")', "All.swift and More.swift"),
    (abi_is_defined_once, "Sources/MartletABI/More.swift", '@_cdecl("martlet_c")', "martlet_c is not in martlet.h"),
    (abi_is_called_from_c, "Tests/ABISmoke/main.c", "/* martlet_a() */ martlet_b(0);", "does not call martlet_a"),
    (versions_agree, "pyproject.toml", '[project]\nversion = "1.2.4"', "1.2.4"),
]


def plant(root: Path, tree: dict[str, str]) -> None:
    for name, text in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_tree_has_no_complaints(tmp_path: Path, rule: Callable[[Path], list[str]]) -> None:
    plant(tmp_path, GOOD_TREE)
    assert rule(tmp_path) == []


@pytest.mark.parametrize(
    ("rule", "name", "text", "expected"), FAULTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_planted_fault_is_found(
    tmp_path: Path, rule: Callable[[Path], list[str]], name: str, text: str, expected: str
) -> None:
    plant(tmp_path, {**GOOD_TREE, name: text})
    complaints = rule(tmp_path)
    assert len(complaints) == 1, complaints
    assert expected in complaints[0]
