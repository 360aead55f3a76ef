"""Progress of long work: one piece of work after the other, on standard error or to a callback."""

from tunewright.deliver.progress import ProgressBar, progress_or_default
from tunewright.images import progress


def test_each_piece_of_work_has_its_own_line(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with ProgressBar() as bar:
        bar("judging the views", 1, 4)
        bar("judging the views", 2, 4)
        bar("predicting", 3, 9)
    shown = capsys.readouterr().err
    assert "judging the views: 2 of 4 (50%)" in shown
    assert "predicting: 3 of 9 (33%)" in shown


def test_quick_work_shows_nothing(capsys):
    with ProgressBar() as bar:
        bar("opening", 0, 1)
        bar("opening", 1, 1)
    assert capsys.readouterr().err == ""


def test_a_given_callback_replaces_the_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    calls = []
    with progress_or_default(lambda *call: calls.append(call)) as report:
        report("opening", 0, 1)
    assert (calls, capsys.readouterr().err) == ([("opening", 0, 1)], "")
    with progress_or_default(None) as report:
        report("opening", 1, 2)
    assert "opening: 1 of 2" in capsys.readouterr().err
