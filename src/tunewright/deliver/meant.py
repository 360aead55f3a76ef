"""Which trained run is meant: a classifier, an ensemble, a file inside one, or the newest run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.config.check import checked
from tunewright.deliver.evaluate import find_run
from tunewright.deliver.saying import Told, silent
from tunewright.errors import DataError, TunewrightError, UsageError
from tunewright.executors.machine import cores
from tunewright.executors.once import call
from tunewright.recipes.find import find_recipe
from tunewright.recipes.recipe import Recipe
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder, StudyFolder

ENSEMBLE = "ensemble.json"
FOREIGN = (".pt", ".pth", ".ckpt", ".pkl", ".bin", ".tar")
"""Ends of names of checkpoints that other programs write: Python pickles, most of them."""


@dataclass(frozen=True)
class Member:
    """A run folder, and the `module:function` that opens what it has trained."""

    path: Path
    opener: str


@dataclass(frozen=True)
class Meant:
    """What is to be delivered: one run, or several that are averaged.

    folder: of the run or of the ensemble, where results are written. threads: for torch; None is
    this process, with as many as it has. newest: nobody named it.
    """

    folder: Path
    members: tuple[Member, ...]
    weights: tuple[float, ...] = (1.0,)
    average: str = "probabilities"
    threads: int | None = None
    newest: bool = False

    def single(self) -> RunFolder:
        """The run, where it is one; DataError for an ensemble."""
        if len(self.members) == 1:
            return RunFolder(self.members[0].path)
        raise DataError(
            f"{self.folder} is an ensemble of {len(self.members)} runs",
            expected="one run",
            remedy=f"Name one of them, for example {self.members[0].path}.",
        )


def meant(run: Path | str | None, *, checkpoint: Path | str | None = None, runs: Path) -> Meant:
    """Find what is meant by RUN or --checkpoint; without both, the newest run in `runs`.

    RUN: a run or study folder, an ensemble, a name in `runs`, or a file inside one of them.
    Raises DataError for what is no trained classifier, UsageError for both at once.
    """
    if run is not None and checkpoint is not None:
        raise UsageError(
            f"the run {run} and --checkpoint {checkpoint}",
            expected="one of them: they mean the same",
        )
    given = run if run is not None else checkpoint
    if given is None:
        return newest(runs)
    path = Path(given).expanduser()
    for place in (path, runs / path):
        if place.is_file():
            return _of_file(place)
        if (place / ENSEMBLE).is_file():
            return _ensemble(place / ENSEMBLE)
    if path.suffix in (*FOREIGN, ".safetensors"):
        raise DataError(
            f"{given} does not exist",
            expected="a run folder, or checkpoints/best.safetensors inside one",
            remedy=_without(runs),
        )
    return _of_run(find_run(path, runs))


def newest(runs: Path) -> Meant:
    """The run in `runs` whose weights were written last, among those that can predict.

    Of a study, its final run, else its best trial. Raises DataError when there is none.
    """
    folder = newest_folder(runs, lambda recipe: bool(recipe.classifier))
    if folder is None:
        raise DataError(
            f"no trained classifier in {runs}",
            expected="a run of a recipe that classifies",
            remedy="Train one first, name its folder, or say where runs are with --runs-dir.",
        )
    one = _of_run(folder)
    return Meant(one.folder, one.members, threads=one.threads, newest=True)


def newest_folder(runs: Path, able: Callable[[Recipe], bool]) -> RunFolder | None:
    """The run in `runs` whose weights were written last, of those whose recipe is `able`."""
    found: list[tuple[float, RunFolder]] = []
    for folder in _run_folders(runs):
        weights = folder.checkpoints / "best.safetensors"
        if weights.exists() and _is_able(folder, able):
            found.append((weights.stat().st_mtime, folder))
    return max(found, key=lambda entry: entry[0])[1] if found else None


def of_study(path: Path, runs: Path) -> list[RunFolder] | None:
    """Every run with weights of a study: trials, the final one, their seeds; None if it is none."""
    for place in (path, runs / path):
        study = StudyFolder(place)
        if study.settings.exists() or study.trials.is_dir():
            folders = [RunFolder(trial) for trial in sorted(study.trials.glob("*"))]
            every = [run for folder in [*folders, study.final] for run in folder.with_seeds()]
            return [run for run in every if (run.checkpoints / "best.safetensors").exists()]
    return None


def member(folder: RunFolder) -> Member:
    """The run as a member; DataError when its recipe has no classifier."""
    recipe = recipe_of(folder)
    if not recipe.classifier:
        raise DataError(
            f"the recipe {recipe.name} has nothing to predict with",
            expected="a run of a recipe that classifies pictures",
            where=str(folder.path),
        )
    return Member(folder.path.resolve(), recipe.classifier)


def done(what: Meant, work: Callable[..., Any], *arguments: Any, told: Told | None = None) -> Any:
    """`work(what, *arguments, told)` where torch may be: in a process of its own.

    In this one for runs whose executor is `inline`.
    """
    tell = told or silent
    if what.threads is None:
        return work(what, *arguments, tell)
    relay = _Relay(work)
    return call(relay, what, *arguments, threads=what.threads, told=lambda said: tell(*said))


def threads(folder: RunFolder) -> int | None:
    """CPU threads for work on a run; None for this process, where its executor is `inline`."""
    tree = folder.read_config()
    config = checked(tree, recipe_of(folder).config)
    return None if config.executor.type == "inline" else config.executor.threads or cores()


@dataclass(frozen=True)
class _Relay:
    """Hands on what the work says as one message."""

    work: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        *given, send = arguments
        return self.work(*given, lambda *said: send(said))


def _of_run(folder: RunFolder) -> Meant:
    one = member(folder)
    return Meant(one.path, (one,), threads=threads(folder))


def _of_file(file: Path) -> Meant:
    """A file inside a run stands for the run, as far as it is what is delivered of it."""
    if file.name == ENSEMBLE or (file.suffix == ".json" and "runs" in (read_json(file) or {})):
        return _ensemble(file)
    folder = next(
        (
            RunFolder(parent)
            for parent in list(file.resolve().parents)[:2]
            if (parent / "config.yaml").exists() and (parent / "checkpoints").is_dir()
        ),
        None,
    )
    if folder is None:
        foreign = file.suffix in FOREIGN
        raise DataError(
            f"{file} is not part of a run folder of ours"
            + (
                ": checkpoints of other programs are pickles, and none is opened" if foreign else ""
            ),
            expected="a run folder, or checkpoints/best.safetensors inside one",
            remedy="Weights of others come in as safetensors, when a training begins: "
            "model.weights=FILE.",
        )
    if file.parent.name == "checkpoints" and file.name not in ("best.safetensors", "best.json"):
        raise DataError(
            f"{file} is not what its run delivers",
            expected=f"{file.with_name('best.safetensors')}",
            remedy=f"Name that, or the run folder {folder.path}.",
        )
    return _of_run(folder)


def _ensemble(file: Path) -> Meant:
    stored = read_json(file)
    try:
        assert stored is not None
        names = [str(name) for name in stored["runs"]]
        weights = tuple(float(weight) for weight in stored["weights"])
        average = str(stored["average"])
        if not names or len(names) != len(weights) or abs(sum(weights) - 1.0) > 1e-6:
            raise ValueError
    except (AssertionError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{file} is no ensemble",
            expected="runs, their weights (sum 1), average, as tunewright ensemble writes them",
        ) from None
    # Runs are named from the file's own place, so that a folder of runs can be moved as a whole.
    folders = [find_run(file.parent / name, file.parent) for name in names]
    members = tuple(member(folder) for folder in folders)
    return Meant(file.parent.resolve(), members, weights, average, threads(folders[0]))


def recipe_of(folder: RunFolder) -> Recipe:
    """The recipe that a run is of."""
    return find_recipe(str(folder.read_config().get("recipe")), where=str(folder.config))


def _is_able(folder: RunFolder, able: Callable[[Recipe], bool]) -> bool:
    try:
        return able(recipe_of(folder))
    except TunewrightError:  # of a recipe that is not installed here
        return False


def _run_folders(runs: Path) -> Iterator[RunFolder]:
    """Runs and seeds in a folder of runs; of each study, the ones that it is evaluated by."""
    for path in sorted(runs.glob("*/")):
        best = read_json(StudyFolder(path).best_results)
        final = StudyFolder(path).final
        candidates = [RunFolder(path), final]
        if best is not None and not final.path.exists() and isinstance(best.get("trial"), int):
            candidates.append(StudyFolder(path).trial(best["trial"]))
        for candidate in candidates:
            yield from (run for run in candidate.with_seeds() if run.config.exists())


def _without(runs: Path) -> str:
    try:
        found = newest(runs)
    except DataError:
        return f"The best weights of a run are {runs}/NAME/checkpoints/best.safetensors."
    return f"Leave it out for the newest run, {found.folder}."
