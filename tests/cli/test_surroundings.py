"""Odd surroundings of a command end in one sentence, never in a traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunewright.cli import main
from tunewright.cli.surroundings import explain

COMMAND = (sys.executable, "-m", "tunewright")


def run(*words, **options):
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENAMETOOLONG, "Choose a shorter name."),
        (errno.ELOOP, "It is a link to itself"),
        (errno.ENOSPC, "Free space"),
        (errno.EROFS, "Name a place that can be written."),
    ],
)
def test_an_error_of_the_system_names_the_file_and_the_remedy(code, remedy):
    sentence = explain(OSError(code, os.strerror(code), "some/file"))
    assert sentence is not None
    assert sentence.startswith(f"some/file: {os.strerror(code)}. {remedy}")


def test_errors_that_are_ours_stay_as_they_are():
    assert explain(ZeroDivisionError()) is None
    assert explain(RuntimeError("CUDA error")) is None
    assert explain(BrokenPipeError()) is None
    assert explain(OSError(errno.ETIMEDOUT, "timed out")) is None


def test_a_home_that_is_not_known(monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError) as caught:
        Path("~nobody-of-that-name/x").expanduser()
    assert "set HOME" in (explain(caught.value) or "")


def test_a_working_folder_that_was_deleted(tmp_path):
    # -P, as for an installed command: without it Python 3.13 looks for modules in that folder.
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); " + (
        "sys.argv = ['tunewright', 'show', 'pairs']; from tunewright.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "tunewright: the working folder was deleted. Change to one that exists (cd).\n"
    )


def test_streams_that_are_closed_or_full():
    words = "show pairs"
    script = f"{sys.executable} -m tunewright {words} >&- 2>&-; exit $?"
    assert subprocess.run(["/bin/sh", "-c", script], timeout=120, check=False).returncode == 0
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("tunewright: standard output or a file cannot be")
    assert done.stderr.count(b"\n") == 1


def test_a_terminal_that_knows_ascii_only(tmp_path):
    (tmp_path / "a.yaml").write_text("recipe: pairs\nstudy: {name: 'Ω≠\u202e'}\n")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = run("show", str(tmp_path / "a.yaml"), env=plain)
    assert done.returncode == 0
    assert r"\u03a9\u2260" in done.stdout


def test_names_that_no_file_system_takes(tmp_path, monkeypatch, capsys):
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (("analyze", "m" * 280), "mmm"),
        (("tune", "pairs", "--name", "k" * 260), "(File name too long)"),
        (("tune", "pairs", "--runs-dir", "loop"), "cannot be used (Too many levels of symbolic"),
        (("show", "p" * 300), "ppp"),
        (("evaluate", "q" * 300), "qqq"),
        (("show", "pairs", f"optim.type={'r' * 300}"), "rrr"),
    ):
        monkeypatch.setattr(sys, "argv", ["tunewright", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (1, 2), words
        shown = capsys.readouterr().err
        assert said in shown
        assert "Traceback" not in shown
