"""A report is written while its study runs, and never in its way."""

import threading
import time

import pytest

import tunewright
from tunewright.runs.folder import StudyFolder
from tunewright.runs.sqlite_url import sqlite_url
from tunewright.search.reporting import keep_fresh
from tunewright.search.reporting.keep_fresh import fresh_report

INLINE = ("executor.type=inline", "study.pruner.type=none", "study.report=false")
X = {"x": {"type": "float", "low": 0.0, "high": 1.0}}


@pytest.fixture
def folder(tmp_path):
    tunewright.tune(
        lambda params, report: params["x"], X, *INLINE,
        goal="value", trials=3, name="study", runs_dir=tmp_path,
    )  # fmt: skip
    return StudyFolder(tmp_path / "study")


def url(folder):
    return sqlite_url(folder.database.resolve())


def test_it_is_written_within_the_block_and_at_its_end(folder):
    with fresh_report(folder, url(folder), pytest.fail, every=0.05):
        until = time.monotonic() + 60
        while not folder.report.exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert folder.report.exists()
        folder.report.unlink()
    assert folder.report.exists()
    assert not [one for one in threading.enumerate() if one.name == "report"]


def test_a_study_that_never_began_has_none(tmp_path):
    folder = StudyFolder(tmp_path / "study")
    with fresh_report(folder, url(folder), pytest.fail):
        pass
    assert not folder.path.exists()


def test_an_error_of_the_block_passes_and_the_report_is_there(folder):
    with pytest.raises(KeyboardInterrupt), fresh_report(folder, url(folder), pytest.fail):
        raise KeyboardInterrupt
    assert folder.report.exists()


def test_a_report_that_cannot_be_written_is_told_once(folder, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(keep_fresh, "report_study", fails)
    told = []
    with fresh_report(folder, url(folder), told.append, every=0.02):
        time.sleep(0.3)
    assert told == ["no report was written: ZeroDivisionError: by zero"]
