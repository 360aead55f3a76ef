"""What errors of `narrow`, `audit`, `compare` and of second stages advise, followed by hand."""

import shlex
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import optuna
import pytest

import tunewright
from before_training import no_training  # noqa: F401
from follow_remedies import Case, follow, run
from mend_as_advised import Advice, obey
from tunewright.errors import RunError, TunewrightError
from tunewright.search.callbacks import StudyCallback

pytestmark = pytest.mark.slow  # each is quick, and they are many
INLINE = "executor.type=inline study.report=false study.pruner.type=none training.epochs=3"
TUNE = f"tune quadratic {INLINE} study.final=false"
STAGES = f"{TUNE} --trials 12 --name new --stages explore,refine"
TABLE = "run,epoch,val_loss\n" + "".join(
    f"{run},{epoch},{run / epoch}\n" for run in range(6) for epoch in (1, 2, 3)
)


def put(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text, encoding="utf-8")


def swap(old: str, new: str) -> str:
    return TABLE.replace(old, new)


def journal() -> None:
    """Write a journal of Optuna's with one damaged line."""
    backend = optuna.storages.journal.JournalFileBackend("study.log")
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(storage=storage, study_name="theirs")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=6)
    lines = Path("study.log").read_text().splitlines(keepends=True)
    lines[-4] = lines[-4][:9] + "\n"
    Path("study.log").write_text("".join(lines))


def copy_head() -> None:
    """Do what `head -n N FILE > COPY` does."""
    lines = Path("study.log").read_text().splitlines(keepends=True)
    Path("copy.log").write_text("".join(lines[:-4]))


def hide_configurations() -> None:
    for file in Path("runs/study/trials").glob("*/config.yaml"):
        file.rename(file.with_name("hidden.yaml"))


def restore_configurations() -> None:
    for file in Path("runs/study/trials").glob("*/hidden.yaml"):
        file.rename(file.with_name("config.yaml"))


def fail() -> None:
    """Run a study whose trials all fail."""
    with pytest.raises(RunError):
        run(*shlex.split(f"{TUNE} faults.kind=error --trials 4 --name failed"))


def tune(
    function: Callable[..., float], name: str, *words: str, trials: int = 12, **more: object
) -> object:
    return tunewright.tune(
        function, {"x": {"type": "float", "low": 0, "high": 1}}, *INLINE.split()[:-1],
        *words, goal="value:max", trials=trials, name=name, **more,
    )  # fmt: skip


def flat(_params: dict[str, float], _report: object) -> float:
    return 1.0


def sloping(params: dict[str, float], report: Callable[[int, float], None]) -> float:
    for step in range(1, int(params.get("length", 1)) + 1):
        report(step, params["x"])
    return params["x"]


def stepping(params: dict[str, float], report: Callable[[int, float], None]) -> float:
    return sloping({"length": 3, **params}, report)


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0, 1)
    for step in (1, 2, 3):
        trial.report(x, step)
    return x


CASES = {
    # narrow
    "a goal to narrow for": Case(
        "narrow study --metric val_scroe", "Did you mean 'val_score'?",
        "narrow study --metric val_score",
    ),
    "two goals to narrow for": Case(
        "narrow two", "--metric val_score", "narrow two --metric val_score"
    ),
    "too few trials to narrow by": Case(
        "narrow few", "tunewright tune --resume", "", mend=lambda: run(
            "tune", "--resume", "runs/few", "--trials", "20"
        ),
    ),
    "failed trials to narrow by": Case(
        "narrow failed", "See the trials: tunewright analyze", "analyze failed", fail
    ),
    "an exhausted space to narrow": Case(
        "narrow small", "tunewright tune --resume runs/small --space FILE", "",
        lambda: run(*shlex.split(f"{TUNE} --space small.yaml --trials 3 --name small")),
        lambda: run(*shlex.split("tune --resume runs/small --space large.yaml --trials 15")),
    ),
    # audit
    "trials trained in full": Case(
        "audit study", "tunewright audit runs/study training.epochs=12",
        "audit runs/study training.epochs=12",
    ),
    "trials trained in full, their epochs": Case(
        "audit study", "--curves", "audit study --curves"
    ),
    "a study in a database": Case(
        "audit runs/study/study.db training.epochs=6", "Name the folder",
        "audit runs/study training.epochs=6",
    ),
    "a study in a database, its epochs": Case(
        "audit runs/study/study.db training.epochs=6", "--curves",
        "audit runs/study/study.db --curves",
    ),
    "too few trials to audit": Case(
        "audit few training.epochs=6 --plan", "tunewright tune --resume runs/few --trials 13", "",
        mend=lambda: run("tune", "--resume", "runs/few", "--trials", "13"),
    ),
    "too few curves to audit": Case(
        "audit few --curves", "run more trials", "",
        mend=lambda: run("tune", "--resume", "runs/few", "--trials", "13"),
    ),
    "trials without their configurations": Case(
        "audit study training.epochs=6", "Restore them", "", hide_configurations,
        restore_configurations,
    ),
    "trials without their configurations, their epochs": Case(
        "audit study training.epochs=6", "tunewright audit runs/study --curves",
        "audit runs/study --curves", hide_configurations,
    ),
    "words where nothing is trained": Case(
        "audit study training.epochs=6 --curves", "leave out --curves",
        "audit study training.epochs=6",
    ),
    "words for a table": Case(
        "audit curves.csv training.epochs=6", "Leave it out", "audit curves.csv",
        put("curves.csv", TABLE),
    ),
    "an option of an audit": Case(
        "audit --curvs study", "Did you mean '--curves'?", "audit --curves study"
    ),
    "a line of a table of curves": Case(
        "audit curves.csv", "Correct the line", "", put("curves.csv", swap("1,1,1.0", "1,1,x")),
        put("curves.csv", TABLE),
    ),
    "a line of a table of curves, left out": Case(
        "audit curves.csv", "or leave it out", "", put("curves.csv", swap("1,1,1.0", "1,1,x")),
        put("curves.csv", swap("1,1,1.0\n", "")),
    ),
    "columns of curves": Case(
        "audit curves.csv", "run,epoch,val_accuracy", "", put("curves.csv", swap("run", "who")),
        put("curves.csv", swap("run,epoch,val_loss", "run,epoch,val_accuracy")),
    ),
    "two scores in a table of curves": Case(
        "audit curves.csv", "--goal val_loss:max", "audit curves.csv --goal val_loss:min",
        put("curves.csv", swap("val_loss\n", "val_loss,other\n").replace(".", ",0.")),
    ),
    "no score in a table of curves": Case(
        "audit curves.csv", "run,epoch,val_accuracy", "", put("curves.csv", "run,epoch\n1,1\n"),
        put("curves.csv", TABLE.replace("val_loss", "val_accuracy")),
    ),
    "a goal of a table of curves": Case(
        "audit curves.csv --goal val_los", "Did you mean 'val_loss'?",
        "audit curves.csv --goal val_loss", put("curves.csv", TABLE),
    ),
    # compare
    "a study beside a run": Case(
        "compare study run", "tunewright compare runs/study/final run",
        "compare runs/study/final run",
    ),
    "two recipes": Case(
        "compare run blobs", "tunewright report runs/blobs", "report runs/blobs"
    ),
    "two goals": Case(
        "compare run losses", "tunewright report runs/losses", "report runs/losses"
    ),
    "a side misspelt": Case(
        "compare study fwe", "Did you mean 'few'?", "compare study few"
    ),
    # Stages and samplers.
    "a grid to refine": Case(
        f"{STAGES} --sampler grid --space small.yaml", "Leave --sampler grid out",
        f"{STAGES} --space small.yaml",
    ),
    "a grid to refine, in one stage": Case(
        f"{STAGES} --sampler grid --space small.yaml", "or --stages",
        f"{TUNE} --trials 3 --name new --sampler grid --space small.yaml",
    ),
    "a pruner beside curves": Case(
        f"{TUNE} --name new study.sampler.type=curves study.pruner.type=median --trials 3",
        "Leave study.pruner out",
        f"{TUNE} --name new study.sampler.type=curves --trials 3",
    ),
    "curves beside a pruner": Case(
        f"{TUNE} --name new study.sampler.type=curves study.pruner.type=median --trials 3",
        "study.sampler.type=tpe",
        f"{TUNE} --name new study.sampler.type=tpe study.pruner.type=median --trials 3",
    ),
    "a preference without replicates": Case(
        f"{TUNE} --trials 3 --name new study.prefer=seconds study.replicate=0",
        "Leave study.replicate out",
        f"{TUNE} --trials 3 --name new study.prefer=seconds",
    ),
    "a preference without replicates, left out": Case(
        f"{TUNE} --trials 3 --name new study.prefer=seconds study.replicate=0",
        "or study.prefer", f"{TUNE} --trials 3 --name new study.replicate=0",
    ),
    "importances by another method": Case(
        "report study --importance fanov", "Did you mean 'fanova'?",
        "report study --importance fanova",
    ),
    "a damaged journal": Case(
        "analyze study.log", "head -n", "analyze copy.log", journal, copy_head
    ),
}  # fmt: skip

CALLS = {
    "scores that are all alike": Advice(
        "narrow flat", "Check that the goal is what the training changes", "narrow sloping",
        lambda: tune(flat, "flat"), lambda: tune(sloping, "sloping"),
    ),
    "scores that are all alike, looked at": Advice(
        "narrow flat", "tunewright analyze", "analyze flat", lambda: tune(flat, "flat"),
    ),
    "too few trials of a function": Advice(
        lambda: tunewright.audit("short", "params.length=4", function=sloping, plan=True),
        "Call tunewright.tune again", None, lambda: tune(sloping, "short", trials=2),
        lambda: tune(sloping, "short", trials=6),
    ),
    "a function trained in full": Advice(
        lambda: tunewright.audit("long", function=sloping),
        "training.epochs=", lambda: tunewright.audit("long", "params.length=4", function=sloping),
        lambda: tune(sloping, "long"),
    ),
    "an audit of a function, without it": Advice(
        "audit steps", "function=FUNCTION",
        lambda: tunewright.audit("steps", "params.length=4", function=sloping),
        lambda: tune(stepping, "steps"),
    ),
    "an audit of a function, its epochs": Advice(
        "audit steps", "--curves", "audit steps --curves", lambda: tune(stepping, "steps"),
    ),
    "an audit of an objective": Advice(
        lambda: tunewright.audit("own", "training.epochs=4", function=objective),
        "--curves", "audit own --curves",
        lambda: tunewright.tune(
            objective, *INLINE.split()[:-1], goal="value:max", trials=6, name="own"
        ),
    ),
    "importances for a metric misspelt": Advice(
        lambda: tunewright.analyze("sloping").importances("valeu"), "Did you mean 'value'?",
        lambda: tunewright.analyze("sloping").importances("value"),
        lambda: tune(sloping, "sloping"),
    ),
    "an objective of its own space": Advice(
        lambda: tunewright.tune(
            lambda trial: trial.suggest_float("x", 0, 1), *INLINE.split()[:-1], goal="value:max",
            trials=6, name="own", stages="explore,refine",
        ),
        "and give its space", lambda: tune(sloping, "own", stages="explore,refine"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with studies of one and of two goals, and with runs of two recipes."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        put("small.yaml", "inherit: false\nparameters: {x: {choices: [0, 1, 2]}}\n")()
        large = "{type: float, low: -1, high: 3}"
        put("large.yaml", f"inherit: false\nparameters: {{x: {large}, y: {large}}}\n")()
        run(*shlex.split(f"tune quadratic {INLINE} --trials 12 --name study"))
        run(*shlex.split(f"{TUNE} --trials 3 --name few"))
        run(*shlex.split(f"{TUNE} --trials 12 --name two 'goal=[val_score,val_loss]'"))
        run(*shlex.split("train quadratic executor.type=inline training.epochs=3 --name run"))
        run(*shlex.split("train quadratic executor.type=inline goal=val_loss --name losses"))
        run(*shlex.split("train blobs executor.type=inline training.epochs=1 --name blobs"))
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_finished_study_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    follow(CASES[name])


@pytest.mark.parametrize("name", CALLS)
def test_the_advice_about_the_study_of_a_function_helps(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    obey(CALLS[name])


class Stop(StudyCallback):
    """Interrupts when the first run of a kind ends. begun: whether it may do so."""

    def __init__(self, after: str = "") -> None:
        self.begun = not after
        self.after = after

    def notice(self, text: str) -> None:
        self.begun = self.begun or self.after in text

    def on_progress(self, *_: object) -> None:
        if self.begun:
            raise KeyboardInterrupt


def test_a_stopped_audit_goes_on(sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(TunewrightError, match="Run the same command again to resume"):
        tunewright.audit("study", "training.epochs=6", watch=Stop())
    assert len(tunewright.audit("study", "training.epochs=6").rows) == 12


@pytest.mark.parametrize(("said", "more"), [
    ("Run the same command again to resume", ()),
    ("study.replicate=0 goes without them", ("study.replicate=0",)),
])  # fmt: skip
def test_stopped_replicates_go_on_or_are_left_out(said, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stopped = []

    def seeded(params: dict[str, float], _report: object, seed: int) -> float:
        if seed != 42 and not stopped:
            stopped.append(seed)
            raise KeyboardInterrupt
        return params["x"] + seed / 1e6

    words = ("study.sampler.type=random", "study.replicate=0.5")
    with pytest.raises(TunewrightError) as refused:
        tune(seeded, "seeded", *words)
    assert said in refused.value.remedy
    tuned = tune(seeded, "seeded", *words, *more)
    assert (tuned.replication is None) == bool(more)
    assert len(tuned.record.own) == 12
