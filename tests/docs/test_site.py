"""The pages that follow from the code, and the site as a whole."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

import tunewright
from tunewright.cli import app
from tunewright.config.leaves import leaves
from tunewright.config.section import Section
from tunewright.recipes.registry import find_recipe

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import reference  # noqa: E402

OF_PLUGINS = (
    "schedule.options",
    "study.sampler.options",
    "study.pruner.options",
    "study.pruner.wrapped.options",
    "trackers.broken",
    "trackers.notebook",
)
"""Keys that exist where a package offers such a component, here the one under `tests/plugin`."""
RECIPES = ["command", "compression", "flowers", "function", "longtail", "pairs"]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.write_pages()


def navigation(entries: list[Any]) -> list[str]:
    named = [next(iter(entry.values())) for entry in entries]
    return [page for x in named for page in (navigation(x) if isinstance(x, list) else [x])]


def test_every_page_stands_in_the_navigation_once(pages: dict[str, str]) -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    written = [file.name for file in (ROOT / "docs").glob("*.md")]
    assert sorted(navigation(settings["nav"])) == sorted([*written, *pages])


@pytest.mark.parametrize("name", RECIPES)
def test_every_key_says_what_it_means(name: str) -> None:
    page = reference.write_config(find_recipe(name))
    rows = [line for line in page.splitlines() if re.match(r"\| `\w+` \|", line)]
    of_plugins = {path.rpartition(".")[2] for path in OF_PLUGINS}
    silent = [row for row in rows if row.endswith("|  |")]
    assert [row for row in silent if not any(f"`{key}`" in row for key in of_plugins)] == []


def test_the_pages_are_the_same_each_time(pages: dict[str, str]) -> None:
    again = subprocess.run(
        [sys.executable, "-c", "import reference; print(reference.write_pages())"],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.strip() == str(pages)


def test_the_pages_are_written_without_torch() -> None:
    code = "import reference, sys; reference.write_pages(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "docs", check=True)


def test_every_command_and_option_is_listed(pages: dict[str, str]) -> None:
    page = pages["reference/cli.md"]
    for command in app.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        assert f"## `tunewright {name}`" in page
    assert "## `tunewright pairs embed`" in page
    assert "| `--trials <int>` | " in page


def test_every_function_is_listed(pages: dict[str, str]) -> None:
    listed = re.findall(r"^::: tunewright\.(\w+)$", pages["reference/python.md"], flags=re.M)
    assert listed == sorted(tunewright.__all__)


@pytest.mark.parametrize("name", RECIPES)
def test_every_key_of_a_recipe_is_listed(name: str, pages: dict[str, str]) -> None:
    listed: set[str] = set()
    section = ""
    for line in pages[f"reference/config-{name}.md"].splitlines():
        if heading := re.match(r"## (?:`([\w.]+)`|Top level)", line):
            section = heading[1] or ""
            listed.add(section)  # of a section without keys, the only path
        elif cell := re.match(r"\| `(\w+)` \|", line):
            listed.add(f"{section}.{cell[1]}".removeprefix("."))
    known = {path for path in leaves(find_recipe(name).config) if not path.endswith(".type")}
    assert known - listed == set(OF_PLUGINS)


def test_a_row_has_type_default_and_meaning(pages: dict[str, str]) -> None:
    page = pages["reference/config-pairs.md"]
    assert "| `accumulate` | whole number >= 1 | `1` | micro-batches per step. |" in page
    assert "| `temperature` | number > 0 | `0.1` |" in page


def test_docstrings_are_read_key_by_key() -> None:
    class Widths(Section):
        """How wide.

        first, second: of the layers. rest_*: of all others; last: note: none of the above.
        """

        first: int = 1
        second: int = 1
        rest_a: int = 1
        last: int = Field(default=1, ge=0)

    description, meanings = reference.read_docstring(Widths)
    assert description == "How wide."
    assert meanings == {
        "first": "of the layers.",
        "second": "of the layers.",
        "rest_a": "of all others",
        "last": "note: none of the above.",
    }


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason='needs pip install -e ".[docs]"')
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """That no page loads from another host is checked by the build itself."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert (tmp_path / "reference" / "config-pairs.html").exists()
