"""`--help` at 80 columns, `--version`, and completion in a shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

import tunewright
from tunewright import cli
from tunewright.cli import options
from tunewright.config.leaves import kinds_of
from tunewright.config.study_schema import StudyConfig
from tunewright.registry import plugin_names

PANELS = (options.SEARCH, options.TRAIN, options.DELIVER, options.COMPRESSION, options.DATA)
MAIN = "import sys; sys.argv[0] = 'tunewright'; from tunewright.cli import main; main()"
COMMANDS = typer.main.get_group(cli.app).commands


def typed(*words: str, **environment: str) -> str:
    """Return what `tunewright WORDS` prints in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_every_command_has_a_panel() -> None:
    assert {getattr(one, "rich_help_panel", None) for one in COMMANDS.values()} == set(PANELS)
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    titles = [line[:-1] for line in shown.splitlines() if re.fullmatch(r"[A-Z]\w+:", line)]
    assert titles == ["Options", *PANELS]
    listed = {
        name: panel
        for panel, lines in zip(titles, re.split(r"(?m)^[A-Z]\w+:\n", shown)[1:], strict=True)
        for name in re.findall(r"(?m)^  (\w[\w-]*) ", lines)
    }
    panels = {name: getattr(one, "rich_help_panel", None) for name, one in COMMANDS.items()}
    assert listed == panels


@pytest.mark.parametrize("group", [[], ["pairs"]])
def test_no_summary_is_cut_at_80_columns(group: list[str]) -> None:
    shown = CliRunner().invoke(cli.app, [*group, "--help"], terminal_width=80).output
    lines = {line.split()[0]: line for line in shown.splitlines() if line.startswith("  ")}
    commands = COMMANDS["pairs"].commands if group else COMMANDS
    for name in commands:
        assert len(lines[name]) <= 80
        assert lines[name].endswith("."), lines[name]
        assert not lines[name].endswith("..."), lines[name]


def test_the_version() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"tunewright {tunewright.__version__}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell(shell: str) -> None:
    # the switch of Typer's own tests: the shell is named, not found among the parent processes
    script = typed("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "tunewright" in script
    assert f"_TUNEWRIGHT_COMPLETE=complete_{shell}" in script


def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("# mine\n")
    shown = typed(
        "--install-completion",
        "bash",
        HOME=str(tmp_path),
        _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1",
    )
    assert "bash completion installed" in shown
    lines = (tmp_path / ".bashrc").read_text()
    assert lines.startswith("# mine\n")
    assert "tunewright" in lines
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert "_TUNEWRIGHT_COMPLETE=complete_bash" in script.read_text()


@pytest.mark.parametrize(
    ("line", "completed"),
    [("tunewright tu", ["tune"]), ("tunewright tune --tri", ["--trials"])],
)
def test_commands_and_options_are_completed(line: str, completed: list[str]) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    assert typed(_TUNEWRIGHT_COMPLETE="complete_bash", **words).split() == completed


@pytest.mark.parametrize("option", ["sampler", "pruner"])
def test_a_flag_lists_the_kinds_of_its_key(option: str) -> None:
    [shown] = [one.help for one in COMMANDS["tune"].params if f"--{option}" in one.opts]  # type: ignore[attr-defined]
    installed = {*plugin_names("tunewright.samplers"), *plugin_names("tunewright.pruners")}
    kinds = kinds_of(StudyConfig.model_fields[option]).keys() - installed
    assert kinds <= set(shown.split(", "))
