"""Contract tests for samplers."""

from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter

from tunewright.config.leaves import choices_of
from tunewright.config.schema import RunConfig
from tunewright.config.study_schema import NoPrunerConfig, Sampler, StudyConfig
from tunewright.runs.record import Trial, TrialState
from tunewright.search.storage.database import Settings
from tunewright.search.study.samplers import check_sampler
from tunewright.search.study.study import Study
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.rules import Condition
from tunewright.spaces.space import Parameter, Space

MIXED = Space(
    (
        Parameter("kind", Categorical(("a", "b")), "a"),
        Parameter("depth", Int(1, 4), 2, when=(Condition("kind", ("a",)),)),
        Parameter("rate", Float(1e-4, 1e-1, log=True), 1e-2),
    )
)
"""A choice, a conditional whole number, and a number on a logarithmic scale."""


class SamplerContract(ABC):
    """Inherit this class and name the sampler.

    settings: keys of the section `study.sampler` besides `type`. space: one it can search. seeded:
    whether another seed gives other points.
    """

    name: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    space: ClassVar[Space] = MIXED
    seeded: ClassVar[bool] = True

    def open(self, database: Path, seed: int = 7) -> Study:
        """Open the study in a database, or begin it."""
        given = {"type": self.name, **self.settings}
        sampler: Sampler = TypeAdapter(Sampler).validate_python(given)
        check_sampler(StudyConfig(sampler=sampler), self.space)
        settings = Settings(
            recipe="quadratic",
            goal="val_score",
            metric="val_score",
            direction="max",
            sampler=sampler.model_dump(),
            pruner=NoPrunerConfig().model_dump(),
            space={},
            configuration={},
            seed=seed,
        )
        return Study(f"sqlite:///{database}", "study", settings, self.space)

    def points(self, study: Study, count: int) -> list[dict[str, Any]]:
        """Ask for points and tell their scores; some trials fail, some are pruned."""
        found = []
        for _ in range(count):
            number, values = study.ask()
            states: list[TrialState] = ["done", "done", "done", "pruned", "failed"]
            state = states[number % len(states)]
            score = float(len(str(values)) % 7) + values.get("rate", 0.0)
            study.report(number, 1, score)
            done = score if state == "done" else None
            cause = "error" if state == "failed" else ""
            study.tell(Trial(number, state, {}, done, {}, cause))  # type: ignore[arg-type]
            found.append(values)
        return found

    def test_a_configuration_can_name_it(self) -> None:
        assert self.name in choices_of(RunConfig, "study.sampler.type")

    def test_its_points_lie_in_the_space(self, tmp_path: Path) -> None:
        study = self.open(tmp_path / "study.db")
        found = self.points(study, 8)
        study.close()
        assert all(self.space.contains(values) for values in found)
        assert len({str(values) for values in found}) > 1

    def test_the_seed_decides(self, tmp_path: Path) -> None:
        found = []
        for name, seed in (("one", 7), ("same", 7), ("other", 8)):
            study = self.open(tmp_path / f"{name}.db", seed)
            found.append(self.points(study, 6))
            study.close()
        assert found[0] == found[1]
        assert (found[0] != found[2]) == self.seeded

    def test_a_study_goes_on_after_a_stop(self, tmp_path: Path) -> None:
        before: list[dict[str, Any]] = []
        for _ in range(3):
            study = self.open(tmp_path / "study.db")
            found = self.points(study, 4)
            study.close()
            assert all(self.space.contains(values) for values in found)
            assert found[1:] != before[1:], "it begins again"
            before = found
