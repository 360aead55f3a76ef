"""The stand-in for wandb: what scripts do with it works, or does nothing; it has no package."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

import tunewright.stand_ins
from tunewright.stand_ins import wandb
from tunewright.stand_ins.wandb._config import SessionConfig
from tunewright.stand_ins.wandb._session import NoServer, Session, flat_numbers

PLACE = Path(tunewright.stand_ins.__file__).parent


class Recorded(Session):
    def __init__(self, params):
        super().__init__(params)
        self.reports, self.whole = [], {}

    def report(self, step, metrics):
        self.reports.append((step, dict(metrics)))

    def summarise(self, metrics):
        self.whole |= metrics


@pytest.fixture
def recorded():
    session = Recorded({"lr": 0.1, "optimizer": {"beta": 0.9, "name": "adam"}})
    wandb.use(session)
    yield session
    wandb.use(None)


def test_the_configuration_is_that_of_the_trial_over_the_scripts_own(recorded):
    given = {"lr": 9.0, "dropout": 0.5, "optimizer": {"beta": 0.0, "eps": 1e-8}}
    run = wandb.init(project="demo", config=given)
    config = wandb.config
    assert run.config is config
    assert config.lr == config["lr"] == config.get("lr") == 0.1
    assert config.dropout == 0.5
    assert config.optimizer == {"beta": 0.9, "eps": 1e-8, "name": "adam"}
    assert config.optimizer.beta == config["optimizer"]["beta"] == config["optimizer.beta"] == 0.9
    assert sorted(dict(config)) == sorted(config.keys()) == ["dropout", "lr", "optimizer"]
    assert "lr" in config
    assert config.get("absent", 7) == 7
    with pytest.raises(AttributeError, match="no 'absent'"):
        _ = config.absent
    with pytest.raises(KeyError):
        _ = config["absent.at.all"]


def test_what_the_script_sets_later_is_kept_but_the_trials_values_stand(recorded):
    wandb.init(config=types.SimpleNamespace(epochs=3))
    wandb.config.update({"lr": 9.0, "epochs": 4}, allow_val_change=True)
    wandb.config.setdefaults({"epochs": 5, "seed": 1})
    wandb.config.width = 64
    assert wandb.config.as_dict() == {
        "lr": 0.1,
        "optimizer": {"beta": 0.9, "name": "adam"},
        "epochs": 4,
        "seed": 1,
        "width": 64,
    }


def test_steps_count_from_0_as_wandbs_do(recorded):
    wandb.init()
    wandb.log({"loss": 1.0})
    wandb.log({"loss": 0.5, "val": {"acc": True, "name": "x"}, "image": wandb.Image("x.png")})
    assert recorded.reports == [(0, {"loss": 1.0}), (1, {"loss": 0.5, "val.acc": 1.0})]


def test_values_of_one_step_come_together(recorded, capsys):
    run = wandb.init()
    run.log({"a": 1}, commit=False)
    run.log({"b": 2})
    run.log({"a": 3}, step=5)
    run.log({"b": 4}, step=5)
    run.log({"a": 5}, step=3)  # behind: W&B leaves it out as well
    run.log({"a": 6}, step=9, commit=True)
    assert recorded.reports == [
        (0, {"a": 1.0, "b": 2.0}),
        (5, {"a": 3.0}),
        (5, {"b": 4.0}),
        (9, {"a": 6.0}),
    ]
    assert capsys.readouterr().err.count("step 3 was logged after step 5") == 1


def test_the_summary_is_of_the_whole_run(recorded):
    with wandb.init() as run:
        wandb.log({"loss": 1.0})
        assert wandb.summary["loss"] == run.summary.loss == 1.0
        wandb.summary["best"] = 0.9
        wandb.run.summary.update({"size": 3, "note": "text"})
    assert recorded.whole == {"best": 0.9, "size": 3.0}


def test_numbers_of_any_library():
    numpy = pytest.importorskip("numpy")
    found = flat_numbers({"a": numpy.float32(0.5), "b": numpy.zeros(3), "c": None, "d": {"e": 1}})
    assert found == {"a": 0.5, "d.e": 1.0}


def test_what_a_study_has_no_use_for_does_nothing(recorded):
    run = wandb.init(mode="offline", tags=["a"], settings=wandb.Settings(silent=True))
    wandb.define_metric("loss", summary="min")
    wandb.watch(object(), log="all")
    table = wandb.Table(columns=["a"])
    table.add_data(1)
    run.log_artifact(wandb.Artifact("model", type="model")).wait()
    wandb.plot.line(table, "a", "b")
    with wandb.something_new() as nothing:
        assert not nothing
    wandb.finish()
    assert wandb.run is None
    assert wandb.login()
    assert Path(run.dir).is_dir()


@pytest.mark.parametrize("call", [wandb.sweep, wandb.agent, wandb.Api])
def test_what_needs_the_server_says_so(call):
    with pytest.raises(NoServer, match=r"tunewright\.tune\(function|asks the server"):
        call({"method": "grid"})


def test_parameters_that_are_read_are_told():
    from tunewright.client import Params

    read = set()

    class Told(Params):
        def __getitem__(self, name):
            read.add(name)
            return super().__getitem__(name)

    config = SessionConfig(Told({"lr": 0.1, "depth": 2}), {"lr": 0.5})
    assert read == set()
    assert config.lr == 0.1
    assert read == {"lr"}


def test_it_needs_the_standard_library_alone():
    """In the isolated mode no other path is there; submodules of the real package are found."""
    code = (
        f"import sys; sys.path.insert(0, {str(PLACE)!r})\n"
        "import wandb, wandb.sdk.data_types\n"
        "from wandb.integration.keras import WandbMetricsLogger\n"
        "with wandb.init(config={'a': 1}) as run:\n"
        "    wandb.log({'x': wandb.config.a})\n"
        "    assert not [m for m in sys.modules if m.partition('.')[0] in ('numpy', 'pydantic')]\n"
        "    assert 'tunewright' not in sys.modules\n"
        "print(wandb.__name__, wandb.run)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.strip() == "wandb None", ran.stderr
