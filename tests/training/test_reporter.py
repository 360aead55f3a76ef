"""What a run tells of itself, and how often it makes others look."""

from pathlib import Path

import pytest

from tunewright.runs.folder import RunFolder
from tunewright.training import reporter as module
from tunewright.training.reporter import Reporter


def test_a_look_for_a_request_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that sent a message at each look would wake its coordinator 20 times a second."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)
    folder = RunFolder(tmp_path)
    heard: list[str] = []
    reporter = Reporter(
        folder,
        folder.begin_attempt(),
        on_report=lambda: heard.append("report"),
        on_poll=lambda: heard.append("poll"),
    )
    reporter.begin(0)
    for _ in range(3):
        assert reporter.request() is None
    reporter.report(1, {"val_loss": 1.0}, 0.1)
    reporter.close()
    assert heard == ["poll", "poll", "poll", "report"]
