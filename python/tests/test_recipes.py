"""The page of recipes shows what the recipes run, and all of them. (`make test-examples` runs the recipes.)"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES = sorted((ROOT / "examples" / "python" / "recipes").glob("[a-z]*.py"))
SECTIONS = re.findall(r"^\[`\w+\.py`\]\([^)]*/(\w+\.py)\):.*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_each_recipe_is_on_the_page() -> None:
    assert sorted(name for name, _ in SECTIONS) == [recipe.name for recipe in RECIPES]


@pytest.mark.parametrize(("name", "shown"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_the_page_shows_what_runs(name: str, shown: str) -> None:
    recipe = (ROOT / "examples" / "python" / "recipes" / name).read_text(encoding="utf-8")
    for part in re.split(r"\n\n", shown.strip("\n")):
        assert textwrap.indent(part, "    ", lambda line: bool(line.strip())) in recipe
