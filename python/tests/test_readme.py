"""What the README shows is what runs, and what its links and those of the docs name exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def block(start: str) -> str:
    """The fenced block of the README that begins with `start`, without its fences."""
    found = re.search(rf"^```\w*\n({re.escape(start)}.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no block that begins with {start!r}"
    return found[1]


def test_the_example_and_its_output_are_those_of_the_quickstart() -> None:
    quickstart = ROOT / "examples" / "python" / "quickstart.py"
    assert block("import martlet as mt") in quickstart.read_text(encoding="utf-8")
    run = subprocess.run([sys.executable, "-X", "utf8", str(quickstart)], capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert run.stdout == block("shape:")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        if not file.exists():
            broken.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]:
                broken.append(target)
    assert not broken, f"{page.name} links to what does not exist: {broken}"
