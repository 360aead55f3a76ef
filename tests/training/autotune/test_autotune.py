"""What pays is tried on a copy, chosen by predicted time, written down, and measured once."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tunewright.config.compose import compose
from tunewright.config.schema import RunConfig
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Goal
from tunewright.runs.shared_choice import begin_sharing, read_shared_choice, share_choice
from tunewright.search.prepare import run_part
from tunewright.training.autotune import autotune, step_benchmark, timing_cache, visits
from tunewright.training.autotune.autotune import choose_settings, fastest
from tunewright.training.autotune.memory_format import lay_out
from tunewright.training.autotune.timing_cache import StepSettings, StepTime
from tunewright.training.autotune.visits import CLEAR, ROUNDS
from tunewright.training.checkpoint import load_weights
from tunewright.training.randomness import random_state
from tunewright.training.reporter import Reporter
from tunewright.training.start import start
from tunewright.training.task import Arrays, Loss, Metrics, Setup, Task

CPU = torch.device("cpu")
FP32, BF16 = StepSettings(), StepSettings("bf16")
LAST, BOTH = StepSettings(layout="channels_last"), StepSettings("bf16", "channels_last")
Batch = tuple[Tensor, Tensor]
Seconds = Mapping[StepSettings, float | tuple[float, ...]]
"""Of each visit the same, or in turn."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache of its own, one thread, and a CPU that is said to multiply bf16 itself."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(autotune, "native_bf16", lambda: True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path / "home" / ".cache" / "tunewright" / "calibration"
    torch.set_num_threads(threads)


class Pictures:
    """Random pictures in four classes."""

    def __init__(self, rows: int) -> None:
        draw = torch.Generator().manual_seed(0)
        self.images = torch.randn(rows, 3, 8, 8, generator=draw)
        self.labels = torch.randint(4, (rows,), generator=draw)

    def __len__(self) -> int:
        return len(self.labels) // 8

    def epoch(self, epoch: int) -> Iterator[Batch]:
        order = torch.randperm(
            len(self.labels), generator=torch.Generator().manual_seed(epoch)
        ).split(8)
        torch.rand(1)  # as a DataLoader does when it seeds its workers
        for rows in order[: len(self)]:
            yield self.images[rows], self.labels[rows]


class Sorting(Task):
    """Plain classification, with a state that each step moves."""

    metrics_directions: Mapping[str, Any] = {"loss": "min"}

    def __init__(self) -> None:
        self.steps = torch.zeros(())

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        self.steps += 1
        return Loss(F.cross_entropy(model(batch[0]), batch[1]), {})

    def predict(self, model: nn.Module, batch: Batch) -> Arrays:
        return {"logits": model(batch[0]), "labels": batch[1]}

    def metrics(self) -> Metrics:
        return Losses()


class Losses(Metrics):
    """The mean cross-entropy of a pass."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def update(self, arrays: Arrays) -> None:
        self.seen.append(float(F.cross_entropy(arrays["logits"].float(), arrays["labels"])))

    def compute(self) -> dict[str, float]:
        return {"loss": sum(self.seen) / len(self.seen)}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def setup(rows: int = 64) -> Setup:
    return Setup(network(), Sorting(), Pictures(rows), Pictures(16), calibrate=True)


def config(*overrides: str) -> RunConfig:
    return compose(find_recipe("blobs"), ["goal=val_loss", *overrides]).config


class Told:
    """Times as if they had been measured."""

    def __init__(self, seconds: Seconds, losses: Mapping[StepSettings, float]) -> None:
        self.seconds, self.losses, self.visits = seconds, losses, list[StepSettings]()

    def time_steps(self, choice: StepSettings, seconds: float) -> StepTime:
        self.visits.append(choice)
        if choice not in self.seconds:
            raise RuntimeError("no kernel")
        taken = self.seconds[choice]
        if not isinstance(taken, float):
            taken = taken[(self.visits.count(choice) - 1) % len(taken)]
        return StepTime((taken,), self.losses.get(choice, 1.0), 40.0 * choice.compiled)

    def close(self) -> None:
        pass


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Any:
    def told(seconds: Seconds, losses: Mapping[StepSettings, float] | None = None) -> Told:
        answers = Told(seconds, losses or {})
        monkeypatch.setattr(autotune, "StepBenchmark", lambda *_: answers)
        return answers

    return told


def everything_of(made: Setup) -> list[Any]:
    task: Any = made.task
    return [
        {name: (t.clone(), t.stride()) for name, t in made.model.state_dict().items()},
        [p.grad for p in made.model.parameters()],
        made.model.training,
        dict(made.model._forward_pre_hooks),
        task.steps.clone(),
        {name: copy.deepcopy(value) for name, value in random_state().items()},
    ]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def test_the_run_is_left_bit_for_bit_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "SHORT_SECONDS", 0.0)
    made = setup()
    before = everything_of(made)
    _, notices = choose_settings(made, config("training.epochs=160"), CPU)
    assert "calibration: " in notices[0]
    assert same(everything_of(made), before)


def test_every_way_is_tried_and_kept(monkeypatch: pytest.MonkeyPatch, alone: Path) -> None:
    monkeypatch.setattr(autotune, "SHORT_SECONDS", 0.0)
    monkeypatch.setattr(timing_cache, "STEADY", float("inf"))
    monkeypatch.setattr(visits, "SHARE", 1000.0)
    _, [notice] = choose_settings(setup(), config("training.epochs=160"), CPU)
    for words in ("fp32, contiguous", "bf16, contiguous", "fp32, channels_last"):
        assert words in notice
    [stored] = [json.loads(file.read_text()) for file in alone.glob("*.json")]
    assert len(stored["times"]) == 4
    assert stored["key"]["threads"] == 1
    assert str(alone) not in json.dumps(stored)


def test_a_short_training_tries_nothing_but_one_way(times: Any) -> None:
    answers = times({FP32: 0.001})
    choice, notices = choose_settings(setup(), config("training.epochs=50"), CPU)
    assert (choice, notices) == (FP32, [])
    assert answers.visits == [FP32]
    choose_settings(setup(), config("training.epochs=50"), CPU)
    assert answers.visits == [FP32]  # not even that a second time


def test_a_setup_that_does_not_ask_is_left_alone(times: Any) -> None:
    answers = times({})
    quiet = replace(setup(), calibrate=False)
    assert choose_settings(quiet, config("training.epochs=10000"), CPU) == (FP32, [])
    always = config("training.compile=always", "training.layout=channels_last")
    assert choose_settings(quiet, always, CPU) == (replace(LAST, compiled=True), [])
    assert answers.visits == []


def test_the_fastest_is_chosen_and_reused(times: Any) -> None:
    answers = times({FP32: 0.2, BF16: 0.18, LAST: 0.15, BOTH: 0.1})
    choice, [notice] = choose_settings(setup(), config("training.epochs=160"), CPU)  # 1280 steps
    assert choice == BOTH
    assert notice.startswith("calibration: bf16, channels_last, 0.1 s a step (")
    assert "fp32, contiguous 0.2 s" in notice
    assert "in all" in notice
    there = [FP32, BOTH, BF16, LAST]
    assert answers.visits == [*there, *there[::-1], *there, *there[::-1], *there]
    again, [notice] = choose_settings(setup(), config("training.epochs=150", "seed=7"), CPU)
    assert again == BOTH
    assert "as measured before" in notice
    assert len(answers.visits) == 4 * ROUNDS


def test_other_shapes_are_measured_anew(times: Any) -> None:
    answers = times({FP32: 0.2, BOTH: 0.1, LAST: 0.3, BF16: 0.3})
    choose_settings(setup(), config("training.epochs=160"), CPU)
    seen = len(answers.visits)
    choose_settings(setup(), config("training.epochs=160", "training.accumulate=2"), CPU)
    assert len(answers.visits) > seen
    seen = len(answers.visits)
    torch.set_num_threads(2)
    choose_settings(setup(), config("training.epochs=160"), CPU)
    assert len(answers.visits) > seen


def test_trying_costs_a_share_of_the_training_at_most(times: Any) -> None:
    answers = times({FP32: 2.0, BF16: 1.0, LAST: 1.0, BOTH: 1.5})
    choice, notices = choose_settings(setup(), config("training.epochs=5"), CPU)
    assert (choice, notices) == (FP32, [])
    assert answers.visits == []  # of 40 steps, the 3 of a visit are more than 5 %
    choice, _ = choose_settings(setup(), config("training.epochs=10"), CPU)
    assert (choice, answers.visits) == (FP32, [FP32])
    choice, _ = choose_settings(
        setup(), config("training.epochs=80"), CPU
    )  # 640 steps, two ways of 15
    assert set(answers.visits) == {FP32, BOTH}
    assert choice == BOTH


class MadeUpClock:
    """Stands in for the module `time`; steps of `OnTheClock` advance it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def __deepcopy__(self, _: object) -> "MadeUpClock":
        return self


class OnTheClock(Sorting):
    """Takes as long as it is said to; the first step of a copy may take longer."""

    def __init__(
        self, clock: MadeUpClock, seconds: Mapping[StepSettings, float], warm_up: float
    ) -> None:
        super().__init__()
        self.clock, self.seconds, self.warm_up = clock, seconds, warm_up

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        weight: Any = model[0].weight  # type: ignore[index,operator]
        choice = StepSettings(
            "bf16" if torch.is_autocast_enabled("cpu") else "no",
            "contiguous" if weight.is_contiguous() else "channels_last",
        )
        first = self.warm_up if self.steps == 0 else 1.0
        self.clock.now += first * self.seconds[choice]
        return super().loss(model, batch)


def seconds_of_trying(
    monkeypatch: pytest.MonkeyPatch,
    epochs: int,
    seconds: Mapping[StepSettings, float],
    warm_up: float = 1.0,
) -> tuple[StepSettings, float, list[str]]:
    """Choose with real steps on a made-up clock."""
    clock = MadeUpClock()
    for module in (autotune, step_benchmark, visits):
        monkeypatch.setattr(module, "time", clock)
    made = replace(setup(), task=OnTheClock(clock, seconds, warm_up))
    overrides = (f"training.epochs={epochs}", "training.compile=never")
    choice, notices = choose_settings(made, config(*overrides), CPU)
    return choice, clock.now, notices


@pytest.mark.parametrize("warm_up", [1.0, 3.0])
@pytest.mark.parametrize("dear", [0.5, 1.5, 4.0, 10.0])
@pytest.mark.parametrize("epochs", [1, 2, 5, 8, 10, 40, 80, 160, 800])
def test_a_dear_training_keeps_to_its_share_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, epochs: int, dear: float, warm_up: float
) -> None:
    plain = 20.0
    seconds = {FP32: plain, BF16: dear * plain, LAST: 0.8 * plain, BOTH: dear * plain}
    choice, spent, _ = seconds_of_trying(monkeypatch, epochs, seconds, warm_up)
    first_visit = (warm_up + 2.0) * plain  # nothing is known before it
    bound = max(0.05 * 8 * epochs * plain, first_visit if 8 * epochs >= 60 else 0.0)
    first_step = warm_up * dear * plain  # of a setting that nothing is known of
    assert spent <= bound + (first_step if first_step > 10 * plain else 0.0)
    if epochs == 800:
        assert choice == (BF16 if dear < 0.8 else LAST)


def test_of_a_setting_that_is_too_slow_one_step_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {FP32: 2.0, BF16: 2.0, LAST: 1.0, BOTH: 2000.0}
    choice, spent, notices = seconds_of_trying(monkeypatch, 160, seconds)
    assert choice == FP32  # the budget is gone
    assert spent == 3 * 2.0 + 2000.0
    assert notices[0].startswith("calibration: bf16, channels_last is too slow to be tried (a step")


def test_where_not_all_fits_the_slower_ones_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {FP32: 2.0, BF16: 4.0, LAST: 1.0, BOTH: 6.0}
    choice, spent, _ = seconds_of_trying(monkeypatch, 160, seconds)
    assert choice == LAST
    assert spent <= 0.05 * 1280 * 2.0


@pytest.mark.parametrize(
    ("overrides", "visits"),
    [
        (["training.precision=fp32"], {FP32, LAST}),
        (["training.layout=contiguous"], {FP32, BF16}),
        (["training.layout=channels_last"], {LAST, BOTH}),
        (["training.precision=bf16", "training.layout=channels_last"], {BOTH}),
    ],
)
def test_what_is_set_stays_as_it_is(
    times: Any, overrides: list[str], visits: set[StepSettings]
) -> None:
    answers = times({FP32: 0.2, BF16: 0.3, LAST: 0.3, BOTH: 0.1})
    choice, _ = choose_settings(setup(), config("training.epochs=160", *overrides), CPU)
    assert set(answers.visits) == visits
    assert choice == min(visits, key=lambda c: answers.seconds[c])


def test_all_settled_by_hand_asks_nothing(times: Any) -> None:
    answers = times({})
    by_hand = ["training.precision=fp32", "training.layout=contiguous", "training.compile=never"]
    assert choose_settings(setup(), config(*by_hand), CPU) == (FP32, [])
    assert answers.visits == []


def test_a_plainer_way_wins_where_it_is_as_good() -> None:
    assert fastest({FP32: StepTime((1.0,), 1.0), BOTH: StepTime((0.98,), 1.0)}, 1000) == FP32
    assert fastest({LAST: StepTime((1.0,), 1.0), BF16: StepTime((0.99,), 1.0)}, 1000) == LAST
    assert fastest({FP32: StepTime((1.0,), 1.0), BOTH: StepTime((0.9,), 1.0)}, 1000) == BOTH


def test_no_choice_hangs_on_a_neighbour() -> None:
    """One that looks 20 times as fast, since threads of the other one were waiting."""
    waiting = (4.44, 0.21, 4.1, 0.2, 3.9)
    assert fastest({FP32: StepTime(waiting, 1.0), BF16: StepTime((0.207,) * 5, 1.0)}, 1000) == FP32
    slow = tuple(30 * second for second in waiting)
    assert fastest({FP32: StepTime((4.44,) * 5, 1.0), BF16: StepTime(slow, 1.0)}, 1000) == FP32
    assert (
        fastest({FP32: StepTime((0.3, 0.35), 1.0), BF16: StepTime((0.2, 0.28), 1.0)}, 1000) == BF16
    )


@given(
    st.lists(st.floats(0.01, 10.0), min_size=ROUNDS, max_size=ROUNDS),
    st.lists(st.floats(0.01, 10.0), min_size=ROUNDS, max_size=ROUNDS),
)
def test_another_way_must_be_faster_beyond_the_spread(
    plain: list[float], other: list[float]
) -> None:
    chosen = fastest({FP32: StepTime(tuple(plain), 1.0), LAST: StepTime(tuple(other), 1.0)}, 100)
    assert (chosen == LAST) == (100 * max(other) * CLEAR <= 100 * min(plain))


def test_a_busy_machine_gets_the_plain_way_and_is_measured_again(times: Any, alone: Path) -> None:
    answers = times({FP32: (0.2, 4.4, 0.2, 4.1, 0.2), BF16: 0.2, LAST: 0.2, BOTH: (0.1, 3.0)})
    choice, [notice] = choose_settings(setup(), config("training.epochs=160"), CPU)
    assert choice == FP32
    assert "fp32, contiguous, 0.2 to 4.4 s a step" in notice
    assert list(alone.glob("*.json")) == []
    seen = len(answers.visits)
    _, [notice] = choose_settings(setup(), config("training.epochs=160"), CPU)
    assert len(answers.visits) > seen
    assert "as measured before" not in notice


def test_what_was_faster_but_not_surely_is_said(times: Any) -> None:
    times({FP32: (0.2, 0.21), BF16: (0.15, 0.2), LAST: 0.3, BOTH: 0.3})
    choice, [notice] = choose_settings(setup(), config("training.epochs=160"), CPU)
    assert choice == FP32
    assert notice.endswith("; bf16, contiguous was faster, but not surely enough to pay")


def test_runs_of_a_study_choose_together(times: Any, tmp_path: Path) -> None:
    answers = times({FP32: 0.2, BF16: 0.18, LAST: 0.15, BOTH: 0.1})
    begin_sharing(tmp_path, 4 * 40)
    short = config("training.epochs=40")  # too short to try anything by itself
    places = [tmp_path / "trials/00000", tmp_path / "trials/00001/seed-9", tmp_path / "final"]
    for number, place in enumerate(places):
        if number == 1:  # whatever this machine would say now
            answers.seconds = {FP32: 0.1, BF16: 0.3, LAST: 0.3, BOTH: 0.3}
            torch.set_num_threads(2)
        with share_choice(RunFolder(place)) as together:
            choice, _ = choose_settings(setup(), short, CPU, together)
        assert choice == BOTH
    begin_sharing(tmp_path, 7)  # as when the study is resumed
    kept = read_shared_choice(tmp_path)
    assert kept is not None
    assert kept.values == {"training.precision": "bf16", "training.layout": "channels_last"}
    assert kept.why.startswith("calibration: bf16, channels_last")
    assert choosing_is_free(tmp_path / "trials/00002")


def choosing_is_free(place: Path) -> bool:
    """Whether nobody waits where the choice has been made."""
    with share_choice(RunFolder(place)) as one, share_choice(RunFolder(place)) as other:
        return one is not None and other is not None and one.values == other.values


def test_what_is_typed_is_neither_shared_nor_replaced(times: Any, tmp_path: Path) -> None:
    times({FP32: 0.2, BF16: 0.1, LAST: 0.1, BOTH: 0.05})
    begin_sharing(tmp_path, 160)
    typed = config("training.epochs=160", "training.precision=fp32")
    with share_choice(RunFolder(tmp_path / "trials/00000")) as together:
        assert choose_settings(setup(), typed, CPU, together)[0] == LAST
    kept = read_shared_choice(tmp_path)
    assert kept is not None
    assert kept.values == {"training.layout": "channels_last"}
    by_hand = config("training.epochs=160", "training.layout=contiguous")
    with share_choice(RunFolder(tmp_path / "trials/00001")) as together:
        assert choose_settings(setup(), by_hand, CPU, together)[0] == BF16


def test_a_run_that_cannot_train_decides_for_nobody(times: Any, tmp_path: Path) -> None:
    times({})
    begin_sharing(tmp_path, 160)
    with share_choice(RunFolder(tmp_path / "trials/00000")) as together:
        choice, notices = choose_settings(setup(), config("training.epochs=160"), CPU, together)
    assert choice == FP32
    assert "does not work here" in notices[0]
    kept = read_shared_choice(tmp_path)
    assert kept is not None
    assert kept.values == {}


def test_a_run_by_itself_shares_nothing(tmp_path: Path) -> None:
    with share_choice(RunFolder(tmp_path / "train-blobs")) as together:
        assert together is None


def test_what_changes_the_loss_is_not_chosen() -> None:
    times = {FP32: StepTime((1.0,), 2.0), BF16: StepTime((0.1,), 2.2), LAST: StepTime((0.9,), 2.01)}
    assert fastest(times, 1000) == LAST


def test_a_compiler_must_give_back_what_it_takes() -> None:
    compiled = replace(BOTH, compiled=True)
    times = {BOTH: StepTime((1.0,), 1.0), compiled: StepTime((0.8,), 1.0, 40.0)}
    assert fastest(times, 150) == BOTH
    assert fastest(times, 10_000) == compiled


@pytest.mark.parametrize(
    ("seconds", "setting", "tried"),
    [(1.0, "auto", False), (9.0, "auto", True), (9.0, "never", False)],
)
def test_compiling_is_tried_for_long_trainings_only(
    times: Any, seconds: float, setting: str, tried: bool
) -> None:
    compiled = replace(BOTH, compiled=True)
    every = {FP32: 2.0, BF16: 1.5, LAST: 1.5, BOTH: 1.0, compiled: 0.5}
    answers = times({choice: seconds * value for choice, value in every.items()})
    overrides = ["training.epochs=160", f"training.compile={setting}"]
    choice, _ = choose_settings(setup(), config(*overrides), CPU)
    assert (compiled in answers.visits) == tried
    assert choice == (compiled if tried else BOTH)


def test_what_does_not_work_here_is_told_and_left(times: Any) -> None:
    times({FP32: 0.2, LAST: 0.1})
    choice, notices = choose_settings(setup(), config("training.epochs=160"), CPU)
    assert choice == LAST
    assert notices[0] == "calibration: bf16, channels_last does not work here (no kernel)"
    times({})
    other = config("training.epochs=160", "training.accumulate=2")
    choice, notices = choose_settings(setup(), other, CPU)
    assert (choice, len(notices)) == (FP32, 4)


def test_where_the_plain_way_does_not_fit_another_may(times: Any) -> None:
    times({BF16: 0.2, BOTH: 0.1})
    choice, notices = choose_settings(setup(), config("training.epochs=160"), CPU)
    assert choice == BOTH
    assert "fp32, contiguous does not work here" in notices[0]


def test_a_loss_that_is_not_finite_is_left_to_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "SHORT_SECONDS", 0.0)
    made = setup()
    made.train.images.fill_(float("nan"))  # type: ignore[attr-defined]
    choice, [notice] = choose_settings(made, config("training.epochs=160"), CPU)
    assert choice == FP32
    assert "not a finite number" in notice


def test_the_choice_is_written_into_the_run_and_acts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: Any
) -> None:
    monkeypatch.setattr(autotune, "SHORT_SECONDS", 0.0)
    times({FP32: 0.2, BF16: 0.3, LAST: 0.1, BOTH: 0.3})
    composed = compose(
        find_recipe("blobs"), ["goal=val_loss", "training.epochs=160", "training.ema_decay=0.9"]
    )
    folder = RunFolder(tmp_path / "run")
    folder.write_config(run_part(composed.tree))
    reporter = Reporter(folder, folder.begin_attempt())
    made = setup()
    seen: set[bool] = set()
    made.model[4].register_forward_pre_hook(  # type: ignore[index,operator]
        lambda _, inputs: seen.add(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    try:
        outcome = start(lambda *_: made, composed.config, Goal("val_loss", "min"), folder, reporter)
    finally:
        reporter.close()
    assert outcome.state == "done"
    written = folder.read_config()["training"]
    assert (written["precision"], written["layout"]) == ("fp32", "channels_last")
    assert written["compile"] == "never"
    assert made.model[0].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[index,union-attr,operator]
    assert seen == {True}
    kept = load_weights(folder.checkpoints / "best.safetensors")
    assert kept["0.weight"].is_contiguous()
    assert set(kept) == set(network().state_dict())


def test_a_layout_comes_and_goes_and_changes_no_number() -> None:
    model = network().eval()
    images = torch.randn(2, 3, 8, 8)
    plain = model(images)
    parameters = list(model.parameters())
    lay_out(model, "channels_last")
    assert torch.allclose(model(images), plain, atol=1e-6)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert copy.deepcopy(model)[0].weight.is_contiguous(memory_format=torch.channels_last)
    lay_out(model, "channels_last")
    assert len(model._forward_pre_hooks) == 1
    twin = copy.deepcopy(model)
    lay_out(twin, "contiguous")
    assert (len(twin._forward_pre_hooks), len(model._forward_pre_hooks)) == (0, 1)
    lay_out(model, "contiguous")
    assert model[0].weight.is_contiguous()
    assert torch.equal(model(images), plain)


@pytest.mark.slow
def test_a_compiled_run_keeps_the_names_and_the_numbers(tmp_path: Path) -> None:
    plain, compiled = (weights_of_a_run(tmp_path / way, way) for way in ("never", "always"))
    assert plain.keys() == compiled.keys()
    for name, tensor in plain.items():
        assert torch.allclose(tensor.float(), compiled[name].float(), atol=1e-4), name


def weights_of_a_run(place: Path, compiling: str) -> dict[str, Tensor]:
    composed = compose(
        find_recipe("blobs"),
        [
            "goal=val_loss",
            "training.epochs=2",
            "training.precision=fp32",
            f"training.compile={compiling}",
            "training.ema_decay=0.9",
        ],
    )
    folder = RunFolder(place)
    folder.write_config(run_part(composed.tree))
    reporter = Reporter(folder, folder.begin_attempt())
    made = setup()
    made.model[3].p = 0.0  # type: ignore[index,union-attr]
    try:
        start(lambda *_: made, composed.config, Goal("val_loss", "min"), folder, reporter)
    finally:
        reporter.close()
        torch.compiler.reset()
    return load_weights(folder.checkpoints / "best.safetensors")
