from pathlib import Path

import pytest

from tunewright.cli.output.formatting import format_command


def test_paths_in_the_working_folder_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert format_command("analyze", tmp_path / "runs" / "a b") == "tunewright analyze 'runs/a b'"
    assert format_command("analyze", tmp_path / "-x") == "tunewright analyze ./-x"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert format_command("analyze", tmp_path) == f"tunewright analyze {tmp_path}"
