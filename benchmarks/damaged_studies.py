"""Damaged files of studies and runs, and damaged trials to import, as the commands read them."""

import random
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from alembic.script import ScriptDirectory
from damage import FOREIGN, Door, cut, cut_row, damage, lose_cell, require, reword

import tunewright
from tunewright.cli.requests import Configs, study_request
from tunewright.recipes.pairs.data.pair_files import save_pairs
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import StudyRecord
from tunewright.search.callbacks import StudyCallback
from tunewright.search.prepare import prepare
from tunewright.search.storage.database import close_storage, open_storage
from tunewright.search.storage.sqlite import one_file
from tunewright.search.transfer.warm_start import start_from, trials_to_import

WHOLE, RUNS = Path("whole"), Path("runs")
SPACE = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
}
WORDS = ("executor.type=inline", "study.pruner.type=none")
TRIALS = 4
LOSSES = (
    "DELETE FROM trials WHERE number = 1",
    "DELETE FROM trials WHERE number = 3",
    "DELETE FROM trial_values WHERE trial_value_id = 2",
    "DELETE FROM trial_params WHERE param_id = 3",
    "DELETE FROM studies",
    "DELETE FROM study_user_attributes",
    "DELETE FROM study_directions",
    "DROP TABLE trial_params",
)
"""Statements that lose rows of a database, whose absence can be seen."""

Trials = list[tuple[object, ...]]
Imported = tuple[Trials, set[str]]


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: set[str] = set()

    def notice(self, text: str) -> None:
        """Keep a notice."""
        self.notices.add(text)


def objective(params: Mapping[str, Any], report: Callable[..., None]) -> float:
    """Return a score of which each step tells a part."""
    for step in (1, 2, 3):
        report(step, params["x"] * step)
    return float(params["x"])


def study_doors() -> Mapping[str, Door]:
    """Make a study and a run in the working folder; return what reads damaged copies, by kind."""
    _read_migrations_once()
    _tune(runs_dir=WHOLE, trials=TRIALS)
    return {**_own_study_doors(), "resumed runs": _resumed_run_door(), **_import_doors()}


def _read_migrations_once() -> None:
    """Read Optuna's migrations once in this process, not three times for each database."""
    made, known = ScriptDirectory.from_config, {}

    def once(config: Any) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = made(config)
        return known[place]

    ScriptDirectory.from_config = staticmethod(once)  # type: ignore[assignment]


def _tune(*, trials: int, watch: Heard | None = None, **options: Any) -> StudyRecord:
    options = {"name": "study", "runs_dir": RUNS, **options}
    return tunewright.tune(
        objective, SPACE, *WORDS, goal="value:max", trials=trials, watch=watch or Heard(), **options
    ).record


def _trials(record: StudyRecord) -> Trials:
    """Return what a study knows of its own trials."""
    return [
        (t.number, t.state, dict(t.parameters), t.score, dict(t.curve))
        for t in record.trials
        if not t.imported_from
    ]


def _copy(name: str) -> Path:
    shutil.rmtree(RUNS, ignore_errors=True)
    shutil.copytree(WHOLE / name, RUNS / name)
    return RUNS / name


def _spoil(file: Path, rng: random.Random) -> bool:
    """Damage a file of a study or a run; return whether all of its damage can be seen."""
    content = file.read_bytes()
    match rng.randrange(6):
        case 0:
            file.write_bytes(rng.choice(FOREIGN))
        case 1:
            file.write_bytes(cut(content, rng))
        case 2:
            file.unlink()
        case 3 if file.suffix == ".db":
            with closing(sqlite3.connect(file)) as connection, connection:
                connection.execute(rng.choice(LOSSES))
        case 3:
            file.unlink()
            file.mkdir()
        case _:
            file.write_bytes((reword if file.suffix != ".db" else damage)(content, rng))
            return False
    return True


def _own_study_doors() -> Mapping[str, Door]:
    whole = _trials(tunewright.analyze("study", runs_dir=WHOLE).record)
    _copy("study")
    usual = Heard()
    further = _trials(_tune(trials=TRIALS + 1, watch=usual))
    require(further[:TRIALS] == whole and len(whole) == TRIALS, "the study does not repeat itself")

    def damaged(rng: random.Random) -> tuple[Path, bool]:
        """Damage one file of a copy; return it, and whether the trials must be read as before."""
        folder = _copy("study")
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        files = [file for file in files if not file.name.startswith(("top_", "best_"))]
        own = [folder / "study.db", folder / "study.db", folder / "study.yaml"]
        file = rng.choice(own if rng.random() < 0.5 else files)
        seen = _spoil(file, rng)
        return file, seen or file.suffix != ".db"

    def analyze(rng: random.Random) -> None:
        file, same = damaged(rng)
        view = tunewright.analyze("study", runs_dir=RUNS, save_configs=rng.random() < 0.3)
        notes = getattr(view.overview, "notices", ())
        require(not same or _trials(view.record) == whole or bool(notes), f"{file.name}, unsaid")

    def go_on(rng: random.Random) -> None:
        file, same = damaged(rng)
        heard = Heard()
        record = _tune(trials=TRIALS + 1, watch=heard)
        told = heard.notices - usual.notices
        right = _trials(record)[:TRIALS] == whole or bool(told)
        require(not same or right, f"{file.name}, unsaid")

    def repair(rng: random.Random) -> None:
        file, same = damaged(rng)
        if rng.random() < 0.5:  # the folders alone must tell the trials
            (RUNS / "study" / "study.db").unlink(missing_ok=True)
            same = file.suffix == ".db"
        report = tunewright.repair("study", runs_dir=RUNS)
        told = " ".join((*report.differing, *report.lost, *report.filled))
        record = tunewright.analyze("study", runs_dir=RUNS).record
        found = {trial[0]: trial for trial in _trials(record)}
        for trial in whole:
            right = found.get(trial[0]) == trial or f"trial {trial[0]}" in told
            require(not same or right or trial[0] in report.added, f"{file.name}, unsaid")

    return {"analyzed studies": analyze, "resumed studies": go_on, "repaired studies": repair}


def _resumed_run_door() -> Door:
    rng = np.random.default_rng(0)
    for split, name in enumerate(("train", "val", "test")):
        matrix = rng.normal(size=(64, 8)).astype(np.float32)
        ids = list(range(64 * split, 64 * split + 64))
        save_pairs(Path("sets"), name, matrix, matrix, {"image_ids": ids})
    words = (
        *(
            "data.dir=sets",
            "executor.type=inline",
            "model=mlp",
            "model.hidden_dim=8",
            "model.output_dim=8",
        ),
        *("training.epochs=2", "training.batch_size=32", "training.checkpoint_seconds=0.0"),
        *("training.precision=fp32", "model.output_dim=8", "seed=1"),
    )
    tunewright.train("pairs", *words, name="run", runs_dir=WHOLE, watch=Heard())
    longer = ("executor.type=inline", "training.epochs=3")

    def go_on(watch: Heard) -> tuple[object, ...]:
        found = tunewright.train(*longer, resume="run", runs_dir=RUNS, watch=watch)
        return tuple((one.state, one.best_step, dict(one.metrics)) for one in found.outcomes)

    usual = Heard()
    _copy("run")
    whole = go_on(usual)

    def resume(rng: random.Random) -> None:
        folder = RunFolder(_copy("run"))
        states = [folder.checkpoints / "last.pt", folder.checkpoints / "best.safetensors"]
        files = [file for file in folder.path.rglob("*") if file.is_file()]
        file = rng.choice([*states, *sorted(files)])
        seen = _spoil(file, rng)
        heard = Heard()
        found = go_on(heard)
        # The archive of a state has checksums; settings that were edited are other settings.
        same = file.suffix == ".pt" or (seen and file != folder.config)
        right = found == whole or bool(heard.notices - usual.notices)
        require(not same or right, f"{file.name}, unsaid")

    return resume


def _import_doors() -> Mapping[str, Door]:
    url = f"sqlite:///{Path('foreign.db').absolute()}"
    storage = open_storage(url)
    journal = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend("foreign.journal")
    )
    for place in (storage, journal):
        study = optuna.create_study(storage=place, study_name="theirs", direction="maximize")
        for number in range(TRIALS):
            trial = study.ask(
                {
                    "x": optuna.distributions.FloatDistribution(0.0, 1.0),
                    "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
                }
            )
            study.tell(trial, number / 8)
    close_storage(url, storage)
    one_file(Path("foreign.db"))
    lines = [f"{n / 8},a,{n / 8},complete\n" for n in range(TRIALS)]
    table = ("x,kind,value,state\n" + "".join(lines)).encode()
    database, entries = Path("foreign.db").read_bytes(), Path("foreign.journal").read_bytes()

    def imported(study: str | None, *files: Path) -> Imported:
        """Return the trials that a new study would begin with, and what it is told of them."""
        settings = {"goal": "value:max", "training.epochs": None, "study.name": "new"}
        configs = Configs(None, None, None)
        request = study_request(
            tunewright.tune, (objective, *WORDS), configs, SPACE, settings, None, RUNS
        )
        recipe = request.recipe
        prepared = prepare(recipe, request.composed, given=request.space, runs=RUNS)
        prepared, sources = start_from(
            recipe, prepared, [study] if study else [], [str(f) for f in files], RUNS
        )
        kept, lines = trials_to_import(recipe, prepared, sources)
        return [(values, old.values) for _, old, values in kept], set(lines)

    def read(file: Path) -> Imported:
        return imported(None, file)

    Path("c.csv").write_bytes(table)
    known: dict[str, Imported] = {
        name: read(Path(name)) for name in ("c.csv", "foreign.db", "foreign.journal")
    }
    _copy("study")
    known["study"] = imported(str(RUNS / "study"))

    def judge(kind: str, found: Imported, what: str) -> None:
        right = found[0] == known[kind][0] or _told(found[1] - known[kind][1])
        require(right, f"{what} is accepted")

    def tables(rng: random.Random) -> None:
        spoil = rng.choice([lose_cell, cut_row, None, reword, reword, reword])
        content = rng.choice(FOREIGN) if spoil is None else spoil(table, rng)
        Path("c.csv").write_bytes(content)
        found = read(Path("c.csv"))
        if spoil is not reword:
            judge("c.csv", found, "another type" if spoil is None else spoil.__name__)

    def databases(rng: random.Random) -> None:
        file = Path("c.db")
        file.write_bytes(database)
        seen = _spoil(file, rng)
        found = read(file)
        if seen:
            judge("foreign.db", found, "a spoiled database")

    def journals(rng: random.Random) -> None:
        file = Path("c.journal")
        spoil = rng.choice([cut, cut, reword, None])
        content = rng.choice(FOREIGN) if spoil is None else spoil(entries, rng)
        file.write_bytes(content)
        found = read(file)
        require(spoil is not None, "another type is accepted")
        if spoil is cut:  # the beginning of a journal is a journal
            require(found[0] == known["foreign.journal"][0][: len(found[0])], "a cut journal")

    def studies(rng: random.Random) -> None:
        folder = _copy("study")
        file = rng.choice(
            [folder / "study.db"] * 2 + [folder / "study.yaml", folder / "space.yaml"]
        )
        if _spoil(file, rng):
            judge("study", imported(str(folder)), file.name)
        else:
            imported(str(folder))

    return {
        "imported tables": tables,
        "imported databases": databases,
        "imported journals": journals,
        "imported studies": studies,
    }


def _told(notices: Sequence[str] | set[str]) -> bool:
    """Return whether notices say that trials are missing."""
    return any("not imported" in notice or " missing" in notice for notice in notices)
