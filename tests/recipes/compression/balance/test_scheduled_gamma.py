"""Gamma's plan: checked and printed before training, and when a run trains longer."""

import pytest

import tunewright
from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.compression.balance.scheduled_gamma import scheduled_gamma
from tunewright.recipes.compression.config_checks import check_fit
from tunewright.recipes.registry import find_recipe
from tunewright.recipes.scheduled_values import describe
from tunewright.search.callbacks import StudyCallback

RECIPE = find_recipe("compression")
TINY = (
    *("model=hyperprior", "model.channels=8", "model.latent=12", "data.crop=64"),
    *("data.crops_per_photo=2", "training.batch_size=2", "executor.type=inline"),
)


class Notices(StudyCallback):
    def __init__(self):
        self.lines = []

    def notice(self, text):
        self.lines.append(text)


def configured(*words, **options):
    return compose(RECIPE, words, **options).config


def test_a_fixed_gamma_says_that_it_is_fixed():
    config = configured("balance=famo", "balance.gamma=0.006")
    assert describe(scheduled_gamma(config), 40) == (
        "gamma (fixed): 0.006 throughout; balance.schedule.type=cosine, or --adaptive_gamma, "
        "varies it"
    )


def test_without_the_balanced_loss_gamma_is_only_compared():
    assert not scheduled_gamma(configured()).in_use
    assert scheduled_gamma(configured("balance=famo")).in_use


def test_the_strategies_share_what_the_configuration_sets():
    config = configured(
        "balance=famo", "balance.gamma=0.01", "balance.schedule.type=linear",
        "balance.schedule.final=0.002", "balance.schedule.warmup=0.5",
    )  # fmt: skip
    others = scheduled_gamma(config).alternatives
    assert others["cosine"](0.5) == others["linear"](0.5) == 0.01
    assert others["cosine"](1.0) == others["linear"](1.0) == 0.002
    small = configured("balance=famo", "balance.gamma=0.0002")
    assert scheduled_gamma(small).alternatives["linear"](1.0) == 0.0002


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("balance.schedule.type=step", "balance.schedule.milestones=[20,40]"),
            r"20, 40 \(epochs\) with training\.epochs = 40: .*milestones=\[0\.3333,0\.6667\]",
        ),
        (
            ("balance.schedule.type=linear", "balance.schedule.final=0.005"),
            r"final = 0\.005 with balance\.gamma = 0\.003: .*final=0\.0006",
        ),
        (
            ("balance.schedule.type=cosine", "balance.schedule.warmup=100"),
            r"warmup = 100 \(epochs\) with training\.epochs = 40: .*warmup=0\.05",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_the_run_is_refused_before_data_are_read(words, text):
    with pytest.raises(ConfigError, match=text):
        check_fit(configured("balance=famo", *words))
    with pytest.raises(ConfigError, match=text):
        RECIPE.check_data(configured("balance=famo", *words))


def test_a_window_that_is_never_reached_is_told():
    words = ("balance=famo", "balance.schedule.type=adaptive")
    (notice,) = check_fit(configured(*words))
    assert "window = 50 validations are never reached in 40 epochs" in notice
    assert "balance.schedule.window=4" in notice
    assert check_fit(configured(*words, "balance.schedule.window=4")) == []


def test_the_shipped_configuration_is_that_of_the_guide():
    config = configured("data.dir=photos", config_name="balanced_adaptive")
    assert (config.training.epochs, config.training.batch_size) == (3000, 16)
    assert config.data.dir == "photos"
    assert config.model.size == "base"
    assert (config.optim.type, config.optim.weight_decay) == ("cautious_adam", 0.0)
    lines = [describe(value, 3000) for value in RECIPE.scheduled_values(config)]
    assert lines == [
        "learning rate (milestones): 5e-05 at first, 1.5e-05 after 2750 epochs, 5e-06 after 2850 "
        "epochs, 1e-06 after 2950 epochs",
        "gamma (hpcm): 0.006 at first, 0.0072 after 300 epochs, 0.0036 after 2000 epochs, 0.00252 "
        "at the end",
    ]
    other = configured("gamma_strategy=cosine", config_name="balanced_adaptive")
    assert (other.balance.gamma, other.balance.schedule.type) == (0.006, "cosine")


def test_the_plan_is_printed_before_training_and_again_when_it_changes(tmp_path):
    watch = Notices()
    words = (*TINY, "balance=famo", "balance.schedule.type=linear", "training.epochs=2")
    trained = tunewright.train("compression", *words, runs_dir=tmp_path, watch=watch)
    (plan,) = (line for line in watch.lines if line.startswith("plan: gamma"))
    assert plan == "plan: gamma (linear): 0.003 at first, 0.002 after 1 epoch, 0.001 at the end"
    assert any(line.startswith("plan: learning rate (milestones)") for line in watch.lines)
    folder = trained.folders[0].path
    longer = Notices()
    tunewright.train("training.epochs=4", resume=folder, runs_dir=tmp_path, watch=longer)
    assert (
        "gamma (linear) is planned over 4 epochs, no longer 2: it was 0.001 after 2 epochs and is "
        "now 0.002; at the end it will be 0.001"
    ) in longer.lines


def test_the_plain_loss_prints_no_plan(tmp_path):
    watch = Notices()
    tunewright.train("compression", *TINY, "training.epochs=1", runs_dir=tmp_path, watch=watch)
    assert not [line for line in watch.lines if line.startswith("plan:")]


def test_a_runs_own_configuration_brings_its_task_weights(tmp_path):
    words = (*TINY, "balance=famo", "balance.schedule.type=linear", "training.epochs=2")
    trained = tunewright.train("compression", *words, runs_dir=tmp_path)
    config = trained.folders[0].config
    found = tunewright.schedule(config, output=tmp_path / "s.svg", runs_dir=tmp_path)
    assert found.recorded.keys() == {"gamma", "task_weights/distortion", "task_weights/bpp"}
    nothing, *weights = zip(
        found.recorded["task_weights/distortion"], found.recorded["task_weights/bpp"], strict=True
    )
    assert nothing == (None, None)
    assert [sum(pair) for pair in weights] == pytest.approx([1.0, 1.0])
    assert found.recorded["gamma"][1:] == pytest.approx(found.values["gamma"][:-1])
    again = tunewright.schedule("compression", *words, output=tmp_path / "s.svg")
    assert again.recorded == {}


def test_each_scale_has_its_gamma():
    config = configured("balance=hierarchical", "training.epochs=3000")
    lines = [describe(value, 3000) for value in RECIPE.schedules(config)]
    assert lines == [
        "gamma_s1 (hierarchical): 0.008 at first, 0.0096 after 300 epochs, 0.0072 after 1500 "
        "epochs, 0.0056 after 2500 epochs, 0.004 at the end",
        "gamma_s2 (hierarchical): 0.0048 at first, 0.0048 after 300 epochs, 0.0066 after 1500 "
        "epochs, 0.0048 after 2500 epochs, 0.003 at the end",
        "gamma_s3 (hierarchical): 0.0024 at first, 0.0024 after 300 epochs, 0.004 after 1500 "
        "epochs, 0.0044 after 2500 epochs, 0.0052 at the end",
    ]
