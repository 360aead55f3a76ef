"""Where long work stands, a piece after the other."""

from tunewright.deliver.progress import Saying
from tunewright.images import progress


def test_each_piece_of_work_has_its_own_line(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with Saying() as saying:
        saying("judging the views", 1, 4)
        saying("judging the views", 2, 4)
        saying("predicting", 3, 9)
    said = capsys.readouterr().err
    assert "judging the views: 2 of 4 (50%)" in said
    assert "predicting: 3 of 9 (33%)" in said


def test_quick_work_says_nothing(capsys):
    with Saying() as saying:
        saying("opening", 0, 1)
        saying("opening", 1, 1)
    assert capsys.readouterr().err == ""
