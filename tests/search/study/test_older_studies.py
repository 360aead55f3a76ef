"""Studies of versions in which shipped stages outweighed what was typed go on as they began."""

import json
import sqlite3
from pathlib import Path

import pytest

from tunewright.errors import StudyError
from tunewright.request import parse_request
from tunewright.search.prepare import PreparedStudy, prepare
from tunewright.search.storage.database import OURS
from tunewright.search.study.older_studies import apply_older_rules
from tunewright.search.study.study import Study


def prepared(folder: Path, *words: str) -> PreparedStudy:
    request = parse_request(words, command="tune")
    return prepare(request.recipe, request.composed, given=None, runs=folder)


def begin(folder: Path, *words: str, older: bool) -> None:
    """A study that is stored and has no trial yet."""
    found = prepared(folder, *words)
    Study(found.url, found.name, found.settings, found.space).close()
    if not older:
        return
    with sqlite3.connect(found.folder.database) as database:
        query = "SELECT value_json FROM study_user_attributes WHERE key = ?"
        stored = json.loads(json.loads(database.execute(query, (OURS,)).fetchone()[0]))
        del stored["typed_holds"]
        text = json.dumps(json.dumps(stored))
        database.execute(
            "UPDATE study_user_attributes SET value_json = ? WHERE key = ?", (text, OURS)
        )
    database.close()


def test_an_older_study_goes_on_with_the_epochs_of_its_stage(tmp_path: Path) -> None:
    typed = ("compression", "training.epochs=3")
    begin(tmp_path, *typed, "stages.explore.training.epochs=8", older=True)
    found = prepared(tmp_path, *typed)
    assert (found.config.training.epochs, found.composed.config.training.epochs) == (8, 3)
    assert found.settings.typed_holds is False
    [notice] = [n for n in found.notices if "an older version began this study" in n]
    assert "stages.explore.training.epochs = 8" in notice
    assert any("the final training is shorter" in n for n in found.notices)


def test_a_study_of_this_version_does_not(tmp_path: Path) -> None:
    begin(tmp_path, "compression", "stages.explore.training.epochs=8", older=False)
    with pytest.raises(StudyError, match=r"training\.epochs was 8 and is now 3"):
        prepared(tmp_path, "compression", "training.epochs=3")
    assert prepared(tmp_path, "compression").settings.typed_holds is True


def test_an_older_study_goes_on_with_its_warmup_in_every_stage(tmp_path: Path) -> None:
    begin(tmp_path, "flowers", "schedule.warmup_epochs=1", older=True)
    found = prepared(tmp_path, "flowers")
    assert found.config.schedule.warmup_epochs == 1.0
    assert found.composed.config.schedule.warmup_epochs == 1.0
    with pytest.raises(StudyError, match=r"schedule\.warmup_epochs was 1"):
        prepared(tmp_path, "flowers", "schedule.warmup_epochs=2")


def test_nothing_is_said_where_nothing_differs() -> None:
    request = parse_request(["pairs"], command="tune")
    schema = request.recipe.config
    assert (
        apply_older_rules(request.composed, {"schedule.warmup_fraction": 0.0}, schema)
        is request.composed
    )


class TestPruner:
    def first_rung(self, folder: Path, *words: str) -> object:
        found = prepared(folder, "quadratic", *words)
        assert found.config.study.pruner.model_dump() == found.settings.pruner
        return found.settings.pruner["min_resource"]

    def test_a_study_that_began_with_the_older_default_keeps_it(self, tmp_path: Path) -> None:
        begin(tmp_path, "quadratic", "study.pruner.min_resource=2", older=False)
        assert self.first_rung(tmp_path) == 2
        assert self.first_rung(tmp_path, "study.pruner.min_resource=3") == 3

    def test_a_new_study_takes_its_first_rung_from_the_data(self, tmp_path: Path) -> None:
        assert self.first_rung(tmp_path) is None
        begin(tmp_path, "quadratic", older=False)
        assert self.first_rung(tmp_path) is None
