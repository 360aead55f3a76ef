"""Finds the run folder that a path, a name or a file inside it stands for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from tunewright.errors import DataError, TunewrightError, UsageError, did_you_mean
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe, recipe_names
from tunewright.runs.atomic import read_json
from tunewright.runs.ending import ending_of
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.regular_files import exists, is_file

FOREIGN = (".pt", ".pth", ".ckpt", ".pkl", ".bin", ".tar")
"""Suffixes of checkpoints of other programs, most of them Python pickles."""

ENSEMBLE = "ensemble.json"

ENDED = ("done", "pruned")
"""States of a training that has ended."""


@dataclass(frozen=True)
class NamedRun:
    """A run with weights. notes: what its user may not know about it."""

    folder: RunFolder
    notes: tuple[str, ...] = ()


def find_run(name: Path, runs: Path) -> NamedRun:
    """Return the trained run that `name` stands for.

    name: the folder, its study's, a name in `runs`, or a file that lies in it. Where `runs` has
    no run or study of this name, it stands for the newest of train-NAME, train-NAME-2, ...,
    which are the default names of a recipe's runs. Raises DataError where there are no weights,
    or several runs.
    """
    for place in places(name, runs):
        if is_file(place):
            return with_state(run_of_file(place))
    for group in (*([place] for place in places(name, runs)), _by_recipe(name, runs)):
        found = [kept for place in group if (kept := _with_weights(place))]
        if found:
            newest = max(found, key=lambda kept: max(map(_weights_time, kept)))
            if len(newest) > 1:
                raise DataError(
                    f"{newest[0].path.parent} holds {len(newest)} runs",
                    expected=f"one of them, for example {newest[0].path}",
                )
            several = f"{name}: the newest of {len(found)} runs, {newest[0].path}"
            return with_state(newest[0], (several,) if len(found) > 1 else ())
        if any(
            _is_ours(place) for place in group
        ):  # a run without weights does not stand for another one
            raise DataError(
                f"{group[0]} has no weights yet",
                expected="a run, or a trial of the study, that completed its first validation",
                remedy=_by_recipe_instead(name, runs),
            )
    raise _nothing(name, runs)


def run_or_checkpoint(
    run: Path | str | None, checkpoint: Path | str | None, runs: Path
) -> Path | str | None:
    """Return what RUN and --checkpoint name, which mean the same; None where neither is given.

    A recipe as RUN, as in `evaluate flowers --checkpoint runs/a`, only says what the other is.
    Raises UsageError for two runs, and for a run of another recipe.
    """
    if run is None or checkpoint is None:
        return checkpoint if run is None else run
    if str(run) not in recipe_names():
        raise UsageError(
            f"the run {run} and --checkpoint {checkpoint}",
            expected="one of them: they mean the same",
            remedy=f"Leave {run} out.",
        )
    path = Path(checkpoint).expanduser()
    if not any(exists(place / ENSEMBLE) for place in places(path, runs)):
        found = find_run(path, runs).folder
        if (recipe := recipe_of(found).name) != str(run):
            raise UsageError(
                f"{found.path} is a run of the recipe {recipe}",
                expected=f"one of {run}",
                remedy=f"Leave {run} out, or name another --checkpoint.",
            )
    return checkpoint


def places(name: Path, runs: Path) -> tuple[Path, ...]:
    """Return the paths that `name` may stand for: the path itself, and the one in `runs`.

    Only one of them is returned if it is the folder of a run, a study or an ensemble.
    """
    if _is_ours(name):
        return (name,)
    return (runs / name,) if _is_ours(runs / name) else (name, runs / name)


def with_state(folder: RunFolder, notes: tuple[str, ...] = ()) -> NamedRun:
    """Return the run, with a note on how its training ended unless all epochs were trained.

    Raises DataError where it has no weights yet.
    """
    ending = ending_of(folder)
    outcome = folder.read_outcome()
    ended = folder.attempt == 0 or (outcome is not None and outcome.state in ENDED)  # 0: a soup
    if ended:
        early = ending is not None and not ending.whole and folder.attempt > 0
        return NamedRun(
            folder, (*notes, f"the training of {folder.path} {ending}") if early else notes
        )
    how = "has not ended" if outcome is None else f"ended as {outcome.state}"
    if _weights_time(folder) == 0.0:
        raise DataError(
            f"the training of {folder.path} {how}, before it had weights",
            expected="a run that completed its first validation",
            remedy="Run the command that started it again to resume it.",
        )
    stands = how if ending is None else f"{ending}"
    return NamedRun(folder, (*notes, f"the training of {folder.path} {stands}: its best so far"))


def newest_run(runs: Path, able: Callable[[Recipe], bool], *, kind: str, expected: str) -> NamedRun:
    """Return the newest run in `runs` of a recipe that is `able`, with a note that it was chosen.

    kind, expected: for the message of the DataError where there is none.
    """
    folder = newest_folder(runs, able)
    if folder is None:
        raise DataError(
            f"no trained {kind} in {runs}",
            expected=expected,
            remedy="Train one first, give its folder, or set the folder of runs with --runs-dir.",
        )
    return with_state(folder, (f"using the newest run, {folder.path}",))


def newest_folder(runs: Path, able: Callable[[Recipe], bool]) -> RunFolder | None:
    """Return the run in `runs` with the newest weights, of those whose recipe is `able`."""
    return next(iter(newest_folders(runs, able)), None)


def newest_folders(runs: Path, able: Callable[[Recipe], bool]) -> list[RunFolder]:
    """Return the runs in `runs` with weights whose recipe is `able`, the newest weights first."""
    found: list[tuple[float, RunFolder]] = []
    for folder in _run_folders(runs):
        weights = folder.checkpoints / "best.safetensors"
        if weights.exists() and _is_able(folder, able):
            found.append((weights.stat().st_mtime, folder))
    return [folder for _, folder in sorted(found, key=lambda entry: entry[0], reverse=True)]


def recipe_of(folder: RunFolder) -> Recipe:
    """Return the recipe of a run."""
    return find_recipe(str(folder.read_config().get("recipe")), where=str(folder.config))


def run_of_file(file: Path) -> RunFolder:
    """Return the run that a file inside it stands for; DataError for other files."""
    folder = next(
        (
            RunFolder(parent)
            for parent in list(file.resolve().parents)[:2]
            if (parent / "config.yaml").exists() and (parent / "checkpoints").is_dir()
        ),
        None,
    )
    if folder is None:
        raise DataError(
            f"{file} is not in a run folder of Tunewright",
            expected="a run folder, or checkpoints/best.safetensors inside one",
            remedy="A training starts from the weights of another program with model.weights=FILE "
            "(safetensors, or a state dict that torch.save wrote).",
        )
    if file.parent.name == "checkpoints" and file.name not in ("best.safetensors", "best.json"):
        raise DataError(
            f"{file} is not the best checkpoint of its run",
            expected=f"{file.with_name('best.safetensors')}",
            remedy=f"Name that, or the run folder {folder.path}.",
        )
    return folder


def _by_recipe(name: Path, runs: Path) -> list[Path]:
    """Return where the runs of a recipe of this name are, as `train` names them."""
    if len(name.parts) != 1:
        return []
    return [runs / f"train-{name}", *sorted(runs.glob(f"train-{escape(str(name))}-[0-9]*"))]


def _by_recipe_instead(name: Path, runs: Path) -> str:
    others = [path.name for path in _by_recipe(name, runs) if _with_weights(path)]
    return f"Other runs have other names: {', '.join(others)}." if others else ""


def _is_ours(path: Path) -> bool:
    """Return whether a folder is that of a run, a study or an ensemble, even without weights."""
    files = (RunFolder(path).config, StudyFolder(path).settings, path / ENSEMBLE)
    return any(map(exists, files))


def _with_weights(path: Path) -> list[RunFolder]:
    """Return the run in a folder, or its seeds; of a study, its final run, else its best trial."""
    best = read_json(StudyFolder(path).best_results)
    if best is not None and not (path / "final").exists():  # its best trial keeps its weights
        path = StudyFolder(path).best_run(best).path
    for place in (path, path / "final"):
        if (place / "config.yaml").exists() and (place / "checkpoints").exists():
            return [RunFolder(place)]
    return list(map(RunFolder, sorted(path.glob("seed-*")) or sorted(path.glob("final/seed-*"))))


def _weights_time(folder: RunFolder) -> float:
    """Return when the weights were written; 0 where there are none."""
    weights = folder.checkpoints / "best.safetensors"
    return weights.stat().st_mtime if weights.exists() else 0.0


def _nothing(name: Path, runs: Path) -> DataError:
    if name.suffix in (*FOREIGN, ".safetensors"):
        newest = newest_folder(runs, able=lambda _: True)
        return DataError(
            f"{name} does not exist",
            expected="a run folder, or checkpoints/best.safetensors inside one",
            remedy=f"Leave the name out to use the newest run, {newest.path}."
            if newest
            else f"The best weights of a run are {runs}/NAME/checkpoints/best.safetensors.",
        )
    loser = "trials" in name.parts
    return DataError(
        f"no trained run in {name}",
        expected="a folder with config.yaml and checkpoints, or a study with a final run",
        remedy="Only the best trial of a study keeps its weights: use its `final` run."
        if loser
        else did_you_mean(str(name), list(_names(runs)))
        or f"Train first, or set the folder of runs with --runs-dir (now {runs}).",
    )


def _names(runs: Path) -> Iterator[str]:
    """Yield the names of runs, studies and ensembles in `runs`, as they are usually typed."""
    for path in filter(_is_ours, sorted(runs.glob("*/"))):
        yield path.name
        if path.name.startswith("train-"):
            yield path.name.removeprefix("train-")


def _is_able(folder: RunFolder, able: Callable[[Recipe], bool]) -> bool:
    try:
        return able(recipe_of(folder))
    except TunewrightError:  # its recipe is not installed
        return False


def _run_folders(runs: Path) -> Iterator[RunFolder]:
    """Yield runs and seeds in a folder of runs; of a study, its final run or best trial."""
    for path in sorted(runs.glob("*/")):
        best = read_json(StudyFolder(path).best_results)
        final = StudyFolder(path).final
        candidates = [RunFolder(path), final]
        if best is not None and not final.path.exists() and isinstance(best.get("trial"), int):
            candidates.append(StudyFolder(path).best_run(best))
        for candidate in candidates:
            yield from (run for run in candidate.with_seeds() if run.config.exists())


def output_file(given: Path | str, option: str = "--output") -> Path:
    """Return the absolute path of a file; raises UsageError where it is a folder."""
    file = Path(given).expanduser().absolute()
    if file.is_dir():
        raise UsageError(f"{option} {given} is a folder", expected="the name of a file")
    return file
