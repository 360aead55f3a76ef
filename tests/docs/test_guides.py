"""Every command of the guides has a row in the document, and every command of ours parses."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_lines import parsed

from tunewright.config.dialect import NOT_BUILT
from tunewright.config.leaves import leaves
from tunewright.config.schema import RunConfig
from tunewright.recipes.registry import find_recipe
from tunewright.request import parse_request

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "coming-from-the-guides.md"
GUIDES = ROOT.parent / "shared" / "guides"
NAMES = ("pairs", "longtail", "flowers", "compression", "retina")
HERE = NAMES
"""The guides whose recipes are there."""
PROGRAMS = "python|bash|mlflow|optuna-dashboard|sqlite3|tensorboard|watch|wandb"
STATES = ("not in this version", "works as it is")
NOT_KEYS = {"sweep_config", "method", "metric", "goal", "parameters", "values", "distribution"}
NOT_KEYS |= {"min", "max", "src"}
"""Parts of a sweep in Python and of a path, which nobody types as a key."""
SPACE = "search_space: {dropout: {type: float, low: 0.0, high: 0.3}}\n"
CONFIGURATION = "recipe: pairs\n"


def sections() -> dict[str, list[list[str]]]:
    """The rows of the document's tables, as cells, by the guide in the heading above them."""
    found: dict[str, list[list[str]]] = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"## `(\w+)`", line):
            found[heading[1]] = []
        elif line.startswith("|") and not line.startswith(("|---", "| the guide ")):
            found[list(found)[-1]].append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def guide(name: str) -> str:
    file = GUIDES / f"{name}.md"
    if not file.exists():
        pytest.skip("the guides do not lie beside this checkout")
    return file.read_text(encoding="utf-8")


def blocks(text: str, language: str = r"\w*") -> list[str]:
    return re.findall(rf"^[ \t]*```{language}\n(.*?)^[ \t]*```", text, flags=re.M | re.S)


def commands(text: str) -> Iterator[str]:
    """What a guide tells its reader to type: lines of its blocks, and code within sentences."""
    for block in blocks(text):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            if found := re.match(rf"\s*!?((?:{PROGRAMS})\s+\S.*?)\s*(?:#.*)?$", line):
                yield found[1]
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    yield from re.findall(rf"`((?:{PROGRAMS}) [^`\n]+)`", prose)


def marks(command: str) -> frozenset[str]:
    """What tells a command from others: its script, flags, overrides and YAML files."""
    program, *words = command.split()
    script = program
    if program in ("python", "bash"):
        script = words[0].rpartition("/")[2]
    return frozenset(
        [script]
        + [word.partition("=")[0] for word in words if word.startswith("--")]
        + [word for word in words if re.match(r"[a-z_.]+=", word)]
        + [word.rpartition("/")[2] for word in words if word.endswith(".yaml")]
    )


def quoted_here() -> list[str]:
    rows = [row for rows in sections().values() for row in rows]
    cells = [cell for row in rows for cell in row[1:]]
    return sorted({c for cell in cells for c in code(cell) if c.startswith("tunewright ")})


def test_each_guide_has_a_section() -> None:
    assert tuple(sections()) == NAMES
    for name, rows in sections().items():
        assert rows
        for row in rows:
            assert len(row) == (3 if name in HERE else 2), row
            assert row[0]
            assert row[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_a_guide_has_a_row(name: str) -> None:
    rows = {marks(c) for row in sections()[name] for c in code(row[0])}
    typed = list(commands(guide(name)))
    assert len(typed) >= 3
    assert [command for command in typed if marks(command) not in rows] == []


def test_every_flag_of_a_guide_has_a_row() -> None:
    for name in NAMES:
        flags = re.findall(r"(?<![\w-])--[a-z][a-z_-]+", guide(name))
        firsts = " ".join(row[0] for row in sections()[name])
        assert [flag for flag in flags if f"`{flag}" not in firsts and flag not in firsts] == []


def test_every_key_of_the_pairs_guide_has_a_row() -> None:
    firsts = " ".join(part for row in sections()["pairs"] for part in code(row[0]))
    for block in blocks(guide("pairs"), "yaml"):
        for key in re.findall(r"^ *([a-z_]+):", block, flags=re.M):
            assert re.search(rf"\b{key}\b", firsts), key


def test_every_file_and_call_of_the_pairs_guide_has_a_row() -> None:
    firsts = " ".join(part for row in sections()["pairs"] for part in code(row[0]))
    text = guide("pairs")
    for file in re.findall(r"[\w*]+\.(?:py|yaml|db|pt|json)\b", text):
        assert file in firsts, file
    for block in blocks(text, "python"):
        for call in re.findall(r"\b(?:study|optuna|vis)\.\w+", block):
            assert call in firsts, call
    for error in re.findall(r"^\w+Error: .*$", text, flags=re.M):
        assert error in firsts, error


def test_rows_of_the_other_guides_say_their_state() -> None:
    for name in NAMES[len(HERE) :]:
        for row in sections()[name]:
            assert row[1].startswith(STATES), row


def names_of(cell: str) -> set[str]:
    """The flags and keys in a cell, as the program's table spells them."""
    found = (re.fullmatch(r"(?:--)?([a-z][a-z_-]+)(?:/.*)?", part) for part in code(cell))
    return {match[1].replace("-", "_") for match in found if match}


@pytest.mark.parametrize("name", list(NOT_BUILT))
def test_the_programs_table_of_missing_names_is_the_documents(name: str) -> None:
    rows = sections()[name]
    absent = set().union(*(names_of(row[0].partition(" (")[0]) for row in rows if not_here(row)))
    built = {alias for r in HERE for alias in find_recipe(r).dialect.aliases}
    assert NOT_BUILT[name].keys() <= set().union(*(names_of(row[0]) for row in rows))
    options = {"name", "epochs", "patience"}
    assert absent - built - options - NOT_KEYS <= NOT_BUILT[name].keys()


@pytest.mark.parametrize("name", list(NOT_BUILT))
def test_the_document_names_what_the_errors_name_instead(name: str) -> None:
    for missing, text in NOT_BUILT[name].items():
        row = next(row for row in sections()[name] if missing in names_of(row[0]))
        for key in re.findall(r"\b[a-z]+\.[a-z_]+\b|--[a-z-]+", text):
            assert key in " ".join(row[1:]), (missing, key)


def not_here(row: list[str]) -> bool:
    return row[1].startswith("not in this version")


@pytest.mark.parametrize("command", quoted_here())
def test_every_quoted_command_parses(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in (Path(word) for word in shlex.split(command) if word.endswith(".yaml")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CONFIGURATION if file.name.startswith("best_") else SPACE, encoding="utf-8")
    parsed(command)


@pytest.mark.parametrize("name", HERE)
def test_every_quoted_key_exists(name: str) -> None:
    recipe = find_recipe(name)
    known = leaves(recipe.config)
    sections_of = {*recipe.config.model_fields, *RunConfig.model_fields}
    for row in sections()[name]:
        aliases = [
            recipe.dialect.aliases[word] for word in code(row[0]) if word in recipe.dialect.aliases
        ]
        assert not aliases or any(path in row[1] for path in aliases) or "the same" in row[1], row
    for text in (part for row in sections()[name] for part in row[1:]):
        for word in (word for part in code(text) for word in part.split()):
            path = word.partition("=")[0].removeprefix("stages.explore.")
            path = recipe.dialect.aliases.get(path, path)
            top, dot, _ = path.partition(".")
            is_file = path.endswith((".yaml", ".db", ".csv"))
            if dot and top in sections_of and not is_file:
                assert path in known or any(p.startswith(f"{path}.") for p in known), word


def test_yaml_of_the_pairs_guide_is_understood(tmp_path: Path) -> None:
    *study, focused, best = blocks(guide("pairs"), "yaml")
    file = tmp_path / "file.yaml"
    file.write_text("\n".join(study), encoding="utf-8")
    request = parse_request(["pairs", str(file)], command="tune")
    assert request.space is not None
    typed = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert request.composed.config.study.trials == typed["n_trials"]
    assert request.space.parameters.keys() <= leaves(request.recipe.config).keys()
    assert len(request.space.parameters) == len(typed["search_space"])
    file.write_text(focused, encoding="utf-8")
    request = parse_request(["pairs", str(file)], command="tune")
    assert request.space is not None
    assert set(request.space.parameters) >= {"model.type", "model.num_heads"}
    file.write_text(best, encoding="utf-8")
    values = yaml.safe_load(best)
    config = parse_request(["pairs", str(file)], command="train").composed.config
    assert config.optim.lr == values["training"]["learning_rate"]
    assert config.training.epochs == values["training"]["num_epochs"]


def test_the_document_names_no_place_of_its_writing() -> None:
    assert not re.search(r"/work|/home|/tmp|/root|https?://", DOCUMENT.read_text(encoding="utf-8"))
