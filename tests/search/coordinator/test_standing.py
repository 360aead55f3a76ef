"""The watch that keeps `status.json` passes on whatever it is told."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from tunewright.runs.folder import StudyFolder
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.coordinator.standing import StandingFile

EVENTS = [name for name, _ in inspect.getmembers(StudyCallback, inspect.isfunction)]
PROGRESS = StudyProgress("search", 4, 1, 1, 0, 0, None, None)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_passed_on(tmp_path: Path, event: str) -> None:
    heard: list[tuple[Any, ...]] = []
    watch = StudyCallback()
    setattr(watch, event, lambda *arguments, **named: heard.append((*arguments, *named.values())))
    standing = StandingFile(StudyFolder(tmp_path), "study", watch)
    given = {
        name: PROGRESS if name == "progress" and event != "on_report" else (lambda: PROGRESS)
        for name in inspect.signature(getattr(standing, event)).parameters
    }
    given |= {name: 1.0 for name in ("seconds", "at_most") if name in given}
    getattr(standing, event)(**given)
    assert heard == [tuple(given.values())]
