import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from tunewright.errors import NotWritten, UsageError
from tunewright.reports.picture_files import PICTURES, check_output, write_picture

BEGINNINGS = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}


def draw(figure):
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1.0, -2.0, 0.5], label="γ costs $3 and $4")
    axes.set_title("λ 鳥")
    axes.legend()


@pytest.mark.parametrize("suffix", PICTURES)
def test_the_suffix_is_the_format_and_the_bytes_depend_on_the_drawing_alone(suffix, tmp_path):
    first, second = (tmp_path / name / f"curve{suffix}" for name in ("a", "b"))
    write_picture(draw, first)
    with matplotlib.rc_context({"font.size": 30.0, "lines.linewidth": 9.0, "savefig.dpi": 40}):
        write_picture(draw, second)  # the settings of the user's own figures do not count
    assert first.read_bytes().startswith(BEGINNINGS[suffix])
    assert first.read_bytes() == second.read_bytes()


def test_a_capital_suffix_is_a_suffix(tmp_path):
    write_picture(draw, tmp_path / "curve.PNG")
    assert (tmp_path / "curve.PNG").read_bytes().startswith(BEGINNINGS[".png"])


def test_the_size_is_given_in_inches(tmp_path):
    write_picture(draw, tmp_path / "curve.png", width_inches=2.0, height_inches=1.5)
    header = (tmp_path / "curve.png").read_bytes()[16:24]
    assert [int.from_bytes(header[at : at + 4]) for at in (0, 4)] == [400, 300]


def test_the_settings_of_the_user_are_left_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    write_picture(draw, tmp_path / "curve.svg")
    with pytest.raises(ZeroDivisionError):
        write_picture(lambda _: 1 / 0, tmp_path / "other.svg")
    assert dict(matplotlib.rcParams) == before
    assert [file.name for file in tmp_path.iterdir()] == ["curve.svg"]


@pytest.mark.parametrize("name", ["curve.jpg", "curve", "curve.html", "."])
def test_an_unknown_suffix_is_refused_with_a_remedy(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf.*Write --output \S+\.png\."):
        write_picture(draw, Path(name))
    assert list(tmp_path.iterdir()) == []


def test_a_page_may_be_named_where_there_is_one():
    check_output(Path("curve.html"))
    check_output(Path("curve.PDF"), option="--plot")
    with pytest.raises(UsageError, match=r"--plot curve\.gif.*\.pdf or \.html"):
        check_output(Path("curve.gif"), option="--plot")


def test_a_failed_write_leaves_the_former_file(tmp_path):
    folder = tmp_path / "curve.png"
    folder.mkdir()
    with pytest.raises(NotWritten):
        write_picture(draw, folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_matplotlib_is_imported_when_something_is_drawn_and_pyplot_never(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tunewright.reports import picture_files as p\n"
        "assert not [m for m in sys.modules if m.startswith('matplotlib')]\n"
        "p.write_picture(lambda figure: figure.subplots().plot([1, 2]), Path(sys.argv[1]))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "curve.png")]
    subprocess.run(command, check=True, timeout=120)
