"""No point is tried twice, whatever the sampler proposes; a finite space comes to an end."""

from pathlib import Path

import pytest
from practice.quadratic.studies import ended

import tunewright
from tunewright.search.callbacks import StudyCallback
from tunewright.search.storage.database import Settings
from tunewright.search.study.study import Study
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.points import identity
from tunewright.spaces.rules import Condition, ForbidRule
from tunewright.spaces.space import Parameter, Space

SMALL = Space(
    (
        Parameter("kind", Categorical(("a", "b", "c")), "a"),
        Parameter("depth", Int(1, 4), 2, when=(Condition("kind", ("a", "b")),)),
        Parameter("rate", Float(0.0, 0.4, step=0.1), 0.1),
    ),
    forbid=(ForbidRule((Condition("kind", ("c",)), Condition("rate", (0.4,)))),),
)
POINTS = 2 * 4 * 5 + 5 - 1


class Recorder(StudyCallback):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_every_point_of_a_small_space_is_tried_once(tmp_path: Path, kind: str) -> None:
    """Asked for all its points, a sampler that repeats itself gets no second of any."""
    sampler = {"type": kind} | ({"startup_trials": 5} if kind == "tpe" else {})
    settings = Settings("quadratic", "g", "g", "max", sampler, {}, {}, {}, 3)
    study = Study(f"sqlite:///{tmp_path}/study.db", "study", settings, SMALL)
    assert study.reachable(100) == POINTS
    tried = set()
    for _ in range(POINTS):
        number, values = study.ask()
        assert SMALL.contains(values)
        tried.add(identity(SMALL, values))
        study.tell(ended(number, "done", values["rate"]))
    assert len(tried) == POINTS
    assert study.reachable(100) == POINTS
    study.close()


def test_a_study_ends_with_its_space_and_says_so(tmp_path: Path) -> None:
    watch = Recorder()
    found = tunewright.tune(
        lambda params, report: params["n"],
        {"n": {"type": "int", "low": 1, "high": 6}},
        trials=20,
        runs_dir=tmp_path,
        name="six",
        watch=watch,
    )
    assert sorted(t.parameters["n"] for t in found.record.trials) == [1, 2, 3, 4, 5, 6]
    assert any("no more than 6 points" in notice for notice in watch.notices)
