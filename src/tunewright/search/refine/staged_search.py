"""`tune --stages explore,refine,final`: search, narrow the space, search in it, train the winner.

Each search is a study with a folder of its own: `lt`, then `lt-refine`, or `lt-refine-1`, ...
around several regions. The second one begins with the trials of the first that fit, and at its
best. A call that was killed goes on where it was: what has ended is not run again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tunewright.analysis.narrowing.narrowing import NarrowedSpace
from tunewright.config.apply import with_values
from tunewright.config.compose import Composition
from tunewright.config.study_schema import StudyConfig
from tunewright.errors import StudyError, UsageError
from tunewright.recipes.recipe import Recipe
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import StudyRecord
from tunewright.search.callbacks import StudyCallback
from tunewright.search.read_study import read_study
from tunewright.search.refine.trial_split import (
    describe_stages,
    refines,
    share_out,
    split_trials,
    stage_seconds,
)
from tunewright.search.replication.arms import count_trainings
from tunewright.search.reporting.study_view import StudyView
from tunewright.search.results import refuse_failure
from tunewright.search.stages import (
    PreparedSearch,
    TuneResult,
    prepare_search,
    run_search,
)
from tunewright.search.stages import tune as tune_once
from tunewright.spaces.read import SpaceFile, read_space

ALONE = ("explore", "final")
"""The stages of the studies that refine, each of which resumes by itself."""


def tune(
    recipe: Recipe,
    composed: Composition,
    *,
    given: SpaceFile | None = None,
    runs: Path = Path("runs"),
    watch: StudyCallback | None = None,
    from_: Sequence[str] = (),
    imports: Sequence[str] = (),
) -> TuneResult:
    """Search in the stages of `study.stages`; see `search.stages.tune` for one search.

    Returns the result of the search that has the winner, with all of them in `stages`. Raises
    UsageError for a second search that cannot follow the first one.
    """
    once = partial(tune_once, recipe, given=given, runs=runs, from_=from_, imports=imports)
    if not refines(composed.config.study):
        return once(composed, watch=watch)
    _refuse_unlike(recipe, composed.config.study)
    prepare = partial(prepare_search, recipe, composed, given, runs, from_, imports)
    return StagedSearch(recipe, runs, watch or StudyCallback(), prepare, prepare()).run()


def _refuse_unlike(recipe: Recipe, study: StudyConfig) -> None:
    if recipe.define_by_run:
        raise UsageError(
            "the stage refine of an objective that suggests its own parameters",
            expected="a space, which can be narrowed",
            remedy="Write the objective as function(params, report), and give its space: "
            "tunewright.tune(function, space, stages=...).",
        )
    if study.sampler.type == "grid":
        raise UsageError(
            "the stage refine of a grid, which has every point once",
            expected="a sampler that goes on between the points",
            remedy="Leave --sampler grid out, or --stages.",
        )


@dataclass(frozen=True)
class StagedSearch:
    """One call in stages. prepare_first: prepares the search that explores; first: what it did."""

    recipe: Recipe
    runs: Path
    watch: StudyCallback
    prepare_first: Callable[[], PreparedSearch]
    first: PreparedSearch

    @property
    def study(self) -> StudyConfig:
        """The settings for all stages together."""
        return self.first.study.config.study

    @property
    def name(self) -> str:
        """The name of the study that explores."""
        return self.first.study.name

    @property
    def folder(self) -> StudyFolder:
        """Its folder."""
        return self.first.study.folder

    def run(self) -> TuneResult:
        """Run all stages."""
        begun = self._begun()
        for line in describe_stages(self.study, self.name):
            self.watch.notice(line)
        explored = None if begun else self._explore()
        if explored is not None and self._is_good_enough(explored):
            return self._finish([], [explored])
        view = self._view()
        total = self.study.trials - len(view.record.own)
        if explored is not None and total < 1:
            return self._finish([], [explored])
        files = begun or self._narrow(view, total)
        results = [] if explored is None else [explored]
        alone = len(files) == 1
        for region, count in enumerate(share_out(max(total, len(files)), len(files))):
            final = self.study.trains_winner and alone
            earlier = self._trainings([view.record]) if alone else None
            search = self._second(files, region, count, final=final, earlier=earlier)
            self._announce("refine", search, count)
            results.append(run_search(self.recipe, search, self.watch))
        if explored is None:
            explored = TuneResult(self.folder, view.record, "finished", None, None)
            results = [explored, *results]
        return self._finish(files, results)

    def _announce(self, stage: str, search: PreparedSearch, count: int) -> None:
        self.watch.notice(f"stage {stage}: {count} trials in {search.study.folder.path}")

    def _explore(self) -> TuneResult:
        count = split_trials(self.study).explore
        limits: dict[str, Any] = {"trials": count, "final": False, "replicate": 0.0}
        for key in ("budget", "timeout"):
            if (seconds := getattr(self.study, key)) is not None:
                limits[key] = stage_seconds(self.study, seconds, -1, 1)
        search = self._with_limits(self.first, limits)
        self._announce("explore", search, count)
        found = run_search(self.recipe, search, self.watch)
        if found.ending == "finished":
            refuse_failure(found.folder, found.record)
        return found

    def _with_limits(self, search: PreparedSearch, limits: Mapping[str, Any]) -> PreparedSearch:
        """Return a search with other settings of `study` in this call; none of them is stored."""
        study = search.study
        values = {f"study.{key}": value for key, value in limits.items()}
        config = with_values(study.explore, values, self.recipe.config)[1]
        return replace(search, study=replace(study, config=config))

    def _is_good_enough(self, explored: TuneResult) -> bool:
        """Return whether the first search has reached the target."""
        best, target = explored.record.best, self.study.target
        if best is None or best.score is None or target is None:
            return False
        sign = explored.record.goals[0].sign
        return sign * best.score >= sign * target

    def _begun(self) -> list[Path]:
        """Return the space files of a second search that has begun; it keeps its space."""
        files = sorted(self.folder.path.glob("refine*.yaml"))
        names = [self._name_of(file) for file in files]
        if not any((self.runs / name / "study.yaml").exists() for name in names):
            return []
        self.watch.notice(f"{self.name} was narrowed before: going on with {', '.join(names)}")
        return files

    def _name_of(self, file: Path) -> str:
        return f"{self.name}-{file.stem}"

    def _view(self) -> StudyView:
        return read_study(str(self.folder.path), storage=self.first.study.url, runs=self.runs)

    def _narrow(self, view: StudyView, trials: int) -> list[Path]:
        """Write the spaces of the second search, and say what they leave out.

        trials: those that it has.
        """
        refine = self.study.refine
        for file in self.folder.path.glob("refine*.yaml"):  # of a call that ended here
            file.unlink()
        try:
            found = view.narrow(keep=refine.keep, regions=min(refine.regions, trials))
        except StudyError as error:
            self.watch.notice(f"refining in the same space: {error.came}")
            file = self.folder.path / "refine.yaml"
            NarrowedSpace.as_searched(view.specification).write(file)
            return [file]
        for notice in found.notices:
            self.watch.notice(notice)
        spaces = found.regions if len(found.regions) > 1 else (found,)
        files = []
        for place, space in enumerate(spaces, 1):
            name = "refine.yaml" if len(spaces) == 1 else f"refine-{place}.yaml"
            files.append(self.folder.path / name)
            space.write(files[-1])
            self.watch.notice(f"{files[-1]}: {space.describe()}")
        return files

    def _second(
        self, files: Sequence[Path], region: int, count: int, *, final: bool, earlier: float | None
    ) -> PreparedSearch:
        """Return the search in one of the narrowed spaces.

        final: whether it trains its winner. earlier: the trainings of the other searches, where
        its best are replicated; else None.
        """
        composed = self.first.study.composed
        limits: dict[str, Any] = {
            "name": self._name_of(files[region]),
            "stages": list(ALONE),
            "trials": count,
            "final": final,
        }
        if earlier is None:
            limits |= {"replicate": 0.0, "prefer": None}
        if (seconds := self.study.budget) is not None:
            ends = stage_seconds(self.study, seconds, region, len(files))
            limits["budget"] = seconds if final else ends
        if (seconds := self.study.timeout) is not None:
            limits["timeout"] = seconds * self.study.refine.share / len(files)
        values = {f"study.{key}": value for key, value in limits.items()}
        tree, config = with_values(composed.tree, values, self.recipe.config)
        search = prepare_search(
            self.recipe,
            replace(composed, tree=tree, config=config, notices=()),
            read_space(files[region], {}),
            self.runs,
            [str(self.folder.path)],
        )
        study = replace(search.study, earlier_trainings=earlier or 0.0)
        return replace(search, study=study, began=self.first.began)

    def _trainings(self, records: Sequence[StudyRecord]) -> float:
        epochs = self.first.study.config.training.epochs
        return sum(count_trainings(record, epochs) for record in records)

    def _finish(self, files: Sequence[Path], results: Sequence[TuneResult]) -> TuneResult:
        """Return the result that has the winner, and train it where that is still to be done."""
        sign = results[0].record.goals[0].sign
        scores = [
            -float("inf") if best is None or best.score is None else sign * best.score
            for best in (one.record.best for one in results)
        ]
        # Of equal ones the last: a trial that was carried over is the same one.
        place = max(range(len(scores)), key=lambda index: (scores[index], index))
        winner = results[place]
        has_trained = place > 0 and len(files) == 1  # the only one that refines
        is_replicated = len(files) == 1  # replicates come once, when all searches have ended
        left = self.study.trains_winner or bool(self.study.replicate and not is_replicated)
        if left and not has_trained and winner.record.best is not None:
            if self.study.trains_winner:
                self.watch.notice(f"stage final: the winner of {winner.record.name}")
            earlier = self._trainings([one.record for one in results if one is not winner])
            winner = run_search(
                self.recipe, self._final(files, place, len(winner.record.own), earlier), self.watch
            )
        return replace(winner, stages=tuple(results))

    def _final(
        self, files: Sequence[Path], place: int, count: int, earlier: float
    ) -> PreparedSearch:
        """Return a search that has ended, to replicate its best and to train its winner.

        place: among all of them. earlier: the trainings of the others.
        """
        if place:
            final = self.study.trains_winner
            search = self._second(files, place - 1, count, final=final, earlier=earlier)
        else:
            limits: dict[str, Any] = {"trials": max(1, count)}
            if len(files) == 1:  # whose search has had the replicates
                limits["replicate"] = 0.0
            search = self._with_limits(self.prepare_first(), limits)
        study = replace(search.study, notices=(), earlier_trainings=earlier)
        return replace(search, study=study, began=self.first.began)
