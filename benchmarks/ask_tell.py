"""What the search adds to Optuna: ask, report and tell with many stored trials.

Both arms go on with the same stored study, by the same sampler (multivariate TPE in groups with
a constant liar), on a copy of the same SQLite file, for the same number of trials:

- tunewright: `Study.ask`, `report`, the pruner, `tell`.
- optuna: `ask`, `suggest_...`, `trial.report`, `should_prune`, `tell` of plain Optuna, with the
  file as it is opened by default.

    python benchmarks/ask_tell.py [--quick]
"""

import argparse
import math
import random
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from rounds import again, judge, ratio, run_rounds, save

from tunewright.config.study_schema import AshaConfig, TpeConfig
from tunewright.runs.record import Trial
from tunewright.search.storage.database import Settings
from tunewright.search.study.optuna_types import FAILURE, End, distribution, suggest
from tunewright.search.study.pruners import pruner
from tunewright.search.study.study import Study
from tunewright.search.study.trial_writer import writer
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.sample import draw as drawn
from tunewright.spaces.space import Parameter, Space

SPACE = Space(
    (
        Parameter("optim.lr", Float(1e-5, 1e-1, log=True), 1e-3),
        Parameter("optim.weight_decay", Float(1e-6, 1e-1, log=True), 1e-4),
        Parameter("loss.temperature", Float(0.01, 0.5, log=True), 0.07),
        Parameter("model.dropout", Float(0.0, 0.5), 0.1),
        Parameter("model.layers", Int(1, 4), 2),
        Parameter("model.type", Categorical(("mlp", "linear", "attention")), "mlp"),
    )
)
EPOCHS = 8
ASHA = AshaConfig(min_resource=1, reduction_factor=4)
NAME = "stored"
SETTINGS = Settings(
    recipe="benchmark",
    goal="val_score",
    metric="val_score",
    direction="max",
    sampler=TpeConfig().model_dump(),
    pruner=ASHA.model_dump(),
    space={"parameters": {}},
    configuration={},
    seed=0,
)
TARGET = 1.3
FIGURE = "ms_per_trial"
"""Wall time of one trial's ask, reports and tell; opening the study is not in it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--trials", type=int, default=20, help="timed in each arm and round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a trial run; writes no result")
    options = parser.parse_args()
    if options.quick:
        options.stored, options.trials, options.rounds = [300], 10, 2
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    found, rounds = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        for stored in options.stored:
            place = Path(temporary) / str(stored)
            place.mkdir()
            print(f"\nstoring {stored} trials")
            build(place / "study.db", stored)
            arms = {
                "tunewright": lambda place=place: ours(place, options.trials),
                "optuna": lambda place=place: plain(place, options.trials, ahead=False),
                "optuna, WAL": lambda place=place: plain(place, options.trials, ahead=True),
            }
            measured = run_rounds(arms, rounds=options.rounds, null="tunewright")
            for name in arms:
                print(f"{stored} stored, {name:<12} {measured.median(name, FIGURE):8.2f} ms")
            ratios = {
                name: ratio(measured, "tunewright", name, FIGURE)
                for name in ("optuna", "optuna, WAL")
            }
            for name, value in ratios.items():
                print(f"tunewright / {name}: {value}: {judge(value, at_most=TARGET)}")
            null = ratio(measured, again("tunewright"), "tunewright", FIGURE)
            print(f"tunewright / itself: {null}")
            found[str(stored)] = {
                "median_ms": {name: measured.median(name, FIGURE) for name in arms},
                "median_ms_of_ask": {name: measured.median(name, "ms_of_ask") for name in arms},
                "median_seconds_to_open": {
                    name: measured.median(name, "seconds_to_open") for name in arms
                },
                "of_optuna": ratios,
                "verdicts": {n: judge(value, at_most=TARGET) for n, value in ratios.items()},
                "null": null,
            }
            rounds[str(stored)] = {
                "first_calls": measured.first_calls,
                "rounds": list(measured.rounds),
            }
    if not options.quick:
        print(
            save(
                "ask_tell",
                "python benchmarks/ask_tell.py",
                None,
                what="ms of wall time a trial: ask, one report, one pruning decision, tell",
                trials_timed_in_each_round=options.trials,
                by_stored_trials=found,
                rounds_by_stored_trials=rounds,
            )
        )


def build(file: Path, count: int) -> None:
    """A study of `count` finished trials, a third of them pruned, as both arms find it."""
    draw = random.Random(0)
    study = Study(f"sqlite:///{file}", NAME, SETTINGS, SPACE)
    url = f"sqlite:///{file}"
    study.close()
    storage = RDBStorage(url, engine_kwargs={"pool_events": [(_careless, "connect")]})
    loaded = optuna.load_study(study_name=NAME, storage=storage)
    writing = writer(loaded, storage, storage.get_study_id_from_name(NAME))
    for _ in range(count):
        values = drawn(SPACE, draw)
        assert values is not None
        trial_id, _ = writing.begin(
            create_trial(
                state=TrialState.RUNNING,
                params=dict(values),
                distributions={path: distribution(SPACE[path].domain) for path in values},
            )
        )
        last = draw.choice([1, 2, 4, EPOCHS, EPOCHS, EPOCHS])
        for epoch in range(1, last + 1):
            writing.report(trial_id, epoch, score(values, epoch))
        state = TrialState.COMPLETE if last == EPOCHS else TrialState.PRUNED
        writing.end(trial_id, End(state, [score(values, last)], {FAILURE: 0.0}, {}))
    storage.remove_session()
    storage.engine.dispose()


def score(values: Mapping[str, Any], epoch: int) -> float:
    """Rises with the epochs towards a value that depends on the point; a millisecond would show."""
    near = -abs(math.log10(values["optim.lr"]) + 3.0) - abs(values["model.dropout"] - 0.1)
    return near - 1.0 / epoch - (values["model.type"] == "linear")


def ours(place: Path, trials: int) -> dict[str, float]:
    """The search's own way."""
    with _copy(place) as file:
        started = time.perf_counter()
        study = Study(f"sqlite:///{file}", NAME, SETTINGS, SPACE)
        done = {trial.number for trial in study.record().of_state("done")}
        prunes = pruner(ASHA, EPOCHS, "max")
        opened = time.perf_counter() - started
        clock = Clock()
        for _ in range(trials + 1):
            number, values = study.ask()
            clock.asked()
            value = score(values, 1)
            study.report(number, 1, value)
            kept = prunes.keeps(number, 1, study.curves, done)
            state = "done" if kept else "pruned"
            curve = dict(study.curves[number])
            study.tell(Trial(number, state, values, value if kept else None, curve))
            if kept:
                done.add(number)
            clock.told()
        study.close()
    return clock.figures(trials, opened)


def plain(place: Path, trials: int, *, ahead: bool) -> dict[str, float]:
    """Optuna's own way. ahead: with the journal that our files have."""
    with _copy(place) as file:
        started = time.perf_counter()
        events = [(_write_ahead, "connect")] if ahead else []
        study = optuna.load_study(
            study_name=NAME,
            storage=RDBStorage(f"sqlite:///{file}", engine_kwargs={"pool_events": events}),
            sampler=TPESampler(
                n_startup_trials=SETTINGS.sampler["startup_trials"],
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=0,
            ),
            pruner=SuccessiveHalvingPruner(
                min_resource=ASHA.min_resource, reduction_factor=ASHA.reduction_factor
            ),
        )
        opened = time.perf_counter() - started
        clock = Clock()
        for _ in range(trials + 1):
            trial = study.ask()
            values = {parameter.path: suggest(trial, parameter) for parameter in SPACE.parameters}
            clock.asked()
            value = score(values, 1)
            trial.report(value, 1)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, value)
            clock.told()
        storage = study._storage
        storage.remove_session()
    return clock.figures(trials, opened)


class Clock:
    """Times each trial; the first, which fills caches, is left out."""

    def __init__(self) -> None:
        self._asked: list[float] = []
        self._told = [time.perf_counter()]

    def asked(self) -> None:
        self._asked.append(time.perf_counter())

    def told(self) -> None:
        self._told.append(time.perf_counter())

    def figures(self, trials: int, opened: float) -> dict[str, float]:
        asks = [end - begin for begin, end in zip(self._told, self._asked, strict=False)]
        return {
            FIGURE: (self._told[-1] - self._told[1]) / trials * 1000.0,
            "ms_of_ask": sum(asks[1:]) / trials * 1000.0,
            "seconds_to_open": opened,
        }


@contextmanager
def _copy(place: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(shutil.copy(place / "study.db", folder))


def _careless(connection: Any, _record: object) -> None:
    """Only to build the study: it may be lost with the machine."""
    connection.execute("PRAGMA journal_mode=memory")
    connection.execute("PRAGMA synchronous=OFF")


def _write_ahead(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("PRAGMA synchronous=NORMAL")


if __name__ == "__main__":
    main()
