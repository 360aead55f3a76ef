"""Every command in the pages parses, and each block runs unless it is marked with what it needs.

A comment before a block says how it is treated, and shows neither in the site nor elsewhere:
`<!-- runs -->`, `<!-- slow -->` (runs among the slow tests), `<!-- needs: data -->` (parses only)
and `<!-- file: NAME -->` (is written to that file first). Pages of WALKS run from top to bottom in
one folder; of other pages each block runs in a folder of its own, its searches made small.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from command_lines import parsed

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WALKS = (
    "tutorial",
    "reading-a-report",
    "own-data",
    "several-labels",
    "own-space",
    "own-recipe",
    "own-components",
)
MARK = re.compile(r"(runs|slow)|needs: (.+)|file: (.+)")
SMALL = ("--trials", "2", "stages.explore.training.epochs=2", "stages.final.training.epochs=2")
"""What is added to a search outside of the walks: its words are tried, not its result."""
SPACE = "search_space: {dropout: {type: float, low: 0.0, high: 0.3}}\n"
CONFIGURATION = "recipe: pairs\n"


class Block(NamedTuple):
    """A fenced block. mark: the comment before it."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def file(self) -> str:
        return self.mark.removeprefix("file: ") if self.mark.startswith("file: ") else ""

    @property
    def runs(self) -> bool:
        return self.mark in ("runs", "slow")

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, without comments and continuations."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [
            c for line in lines if (c := re.sub(r"(^|\s)#( .*|$|!.*|SBATCH.*)", "", line).strip())
        ]


def blocks_of(page: Path) -> list[Block]:
    pattern = r"(?:^<!-- (?P<mark>[^>]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$"
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page.stem,
            text[: found.start("text")].count("\n"),
            found["language"],
            found["mark"] or "",
            found["text"],
        )
        for found in re.finditer(pattern, text, flags=re.M | re.S)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL = [block for block in BLOCKS if block.language == "bash"]


def typed(block: Block) -> list[str]:
    """The calls of our own command in a block."""
    parts = [part for line in block.commands for part in re.split(r"&&|;", line)]
    calls = [
        part[found.start() :] for part in parts if (found := re.search(r"\btunewright ", part))
    ]
    return [call for call in calls if not re.search(r"\bpip install\b", call)]


def name_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


def test_every_block_of_commands_is_marked() -> None:
    """By what it needs, or as one that runs; the README's two installations are CI's own."""
    unmarked = [b for b in SHELL if not MARK.fullmatch(b.mark) and "python3 -m venv" not in b.text]
    assert [name_of(block) for block in unmarked] == []
    marks = [block for block in BLOCKS if block.mark and not MARK.fullmatch(block.mark)]
    assert [(name_of(block), block.mark) for block in marks] == []
    hidden = [b for b in BLOCKS if not b.language and re.search(r"^tunewright ", b.text, re.M)]
    assert [name_of(block) for block in hidden] == [], "a shell block without its language"


@pytest.mark.parametrize("block", [b for b in SHELL if typed(b)], ids=name_of)
def test_every_command_parses(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block.page in ("own-recipe", "own-components"):
        pytest.skip("what it declares is known only where the page runs")
    monkeypatch.chdir(tmp_path)
    for command in typed(block):
        for file in (Path(w) for w in shlex.split(command) if w.endswith(".yaml") or w == "FILE"):
            file.parent.mkdir(parents=True, exist_ok=True)
            config = file.name.startswith(("best_", "my_run"))
            file.write_text(CONFIGURATION if config else SPACE, encoding="utf-8")
        own_folder = "--config-dir" in command  # its files are the reader's
        parsed(command, compose=not own_folder)


def environment(folder: Path) -> Mapping[str, str]:
    """Programs of the running interpreter first; what the page wrote can be imported."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    imports = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": imports, "HOME": str(folder / "home")}


def install(folder: Path) -> None:
    """Stand in for `pip install -e .`, which needs a network: what pip would write down."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    written = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    written.mkdir()
    (written / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (written / "entry_points.txt").write_text("\n".join(lines))


def run(block: Block, folder: Path, extra: tuple[str, ...] = ()) -> None:
    for command in [block.text] if block.language == "python" else block.commands:
        if command == "pip install -e .":
            install(folder)
            continue
        if block.language == "python":
            script = folder / "block.py"
            script.write_text(command, encoding="utf-8")
            words = [sys.executable, str(script)]
        else:
            words = shlex.split(command)
            words = [sys.executable, *words[1:]] if words[0] == "python" else words
            if extra and words[1] in ("tune", "plan") and "--train" not in words:
                words += extra
        done = subprocess.run(
            words, cwd=folder, env=environment(folder), capture_output=True, text=True
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def write_files(page: str, folder: Path) -> None:
    for block in (block for block in BLOCKS if block.page == page and block.file):
        file = folder / block.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")


ALONE = [
    pytest.param(block, id=name_of(block), marks=[pytest.mark.slow] * (block.mark == "slow"))
    for block in BLOCKS
    if block.runs and block.page not in WALKS
]


@pytest.mark.parametrize("block", ALONE)
def test_a_block_runs(block: Block, tmp_path: Path) -> None:
    write_files(block.page, tmp_path)
    run(block, tmp_path, SMALL)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", WALKS)
def test_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    blocks = [block for block in BLOCKS if block.page == page and block.runs]
    assert blocks
    for block in blocks:
        run(block, tmp_path)


def test_the_recipe_of_the_page_is_as_short_as_it_says() -> None:
    code = [b.text for b in BLOCKS if b.page == "own-recipe" and b.file.endswith(".py")]
    lines = [line.strip() for text in code for line in text.splitlines()]
    assert len([line for line in lines if line and not line.startswith('"""')]) < 60
