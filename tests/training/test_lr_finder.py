"""The learning-rate finder: what it reads off a curve, when it refuses, that it leaves no trace."""

import dataclasses
import io
import math
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from practice.blobs.setup import BlobsTask

from tunewright.config.compose import compose
from tunewright.config.schema import RunConfig
from tunewright.errors import DataError, Diverged
from tunewright.recipes.recipe import import_object
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.training.lr_finder import TrainingCopy, find_lr, longest_descent, read_curve
from tunewright.training.randomness import random_state, seed_all
from tunewright.training.reporter import Reporter
from tunewright.training.task import Group, Loader, Loss, Setup
from tunewright.training.trainer import TrainingPlan, train

RATES = np.geomspace(1e-7, 10.0, 100).tolist()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only wait for a second thread, and long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blobs(*overrides: str) -> tuple[Setup, RunConfig]:
    recipe = find_recipe("blobs")
    config = compose(recipe, ["training.batch_size=32", *overrides]).config
    seed_all(config.seed)
    return import_object(recipe.setup)(config, torch.device("cpu")), config


def plain_blobs(*overrides: str) -> tuple[Setup, RunConfig]:
    setup, config = blobs("model.dropout=0.0", "model.width=32", *overrides)
    return dataclasses.replace(setup, task=PlainTask()), config


def fall(middle: float, *, width: float = 0.4, height: float = 2.0) -> np.ndarray:
    """A smooth fall around 10**middle, from height + 0.5 to 0.5."""
    return 0.5 + height / (1.0 + np.exp((np.log10(RATES) - middle) / width))


def everything(setup: Setup) -> bytes:
    """Weights, statistics, gradients, modes, task and random state, as bytes."""
    model, file = setup.model, io.BytesIO()
    modes = [module.training for module in model.modules()]
    each = [(p.requires_grad, p.grad) for p in model.parameters()]
    torch.save([model.state_dict(), modes, each, vars(setup.task), random_state()], file)
    return file.getvalue()


class PlainTask(BlobsTask):
    """Cross-entropy as it is: no weights that grow with the loss."""

    def after_step(self, model, batches, loss):
        pass


class OnGpu:
    """A loader whose batches come on the GPU, as those of a recipe do."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[list[torch.Tensor]]:
        for batch in self.loader.epoch(epoch):
            yield [tensor.cuda() for tensor in batch]


class Curve(PlainTask):
    """Whatever is given as losses, whose gradient moves the model all the same."""

    def __init__(self, losses: Iterator[float]) -> None:
        super().__init__()
        self.losses = list(losses)
        self.taken = 0

    def loss(self, model, batch):
        loss = super().loss(model, batch).total
        value = self.losses[self.taken % len(self.losses)]
        self.taken += 1
        return Loss(loss - loss.detach() + value, {})


class TestReading:
    def test_both_suggestions_lie_on_the_fall(self):
        curve = read_curve(RATES, fall(-3.0))
        assert curve.reason == ""
        assert 3e-4 < curve.suggestions["steepest"] < 3e-3
        assert curve.suggestions["steepest"] <= curve.suggestions["valley"] < 1e-2

    def test_smoothing_does_not_lag(self):
        noise = np.random.default_rng(0).normal(scale=0.02, size=100)
        found = read_curve(RATES, fall(-3.0, width=0.1) + noise).suggestions["steepest"]
        assert abs(math.log10(found) + 3.0) < 0.15  # two steps of the sweep

    def test_the_length_of_the_plateau_does_not_move_the_valley(self):
        whole = read_curve(RATES, fall(-2.0)).suggestions["valley"]
        late = read_curve(RATES[25:], fall(-2.0)[25:]).suggestions["valley"]
        assert abs(math.log10(whole / late)) < 0.2

    def test_an_explosion_does_not_bury_the_curve_before_it(self):
        losses = fall(-3.0)
        losses[80:] = 1e30
        plain, exploded = (read_curve(RATES, y, ceiling=5.0) for y in (fall(-3.0), losses))
        assert exploded.suggestions["steepest"] == pytest.approx(plain.suggestions["steepest"])

    def test_the_longest_descent_skips_what_rises(self):
        assert longest_descent(np.array([5.0, 9.0, 4.0, 4.5, 3.0, 8.0, 2.0])).tolist() in (
            [0, 2, 4, 6],
            [1, 2, 4, 6],
            [0, 3, 4, 6],
            [1, 3, 4, 6],
        )


class TestRefusal:
    @pytest.mark.parametrize("draw", ["normal", "standard_cauchy", "lognormal", "uniform"])
    def test_nothing_is_suggested_from_noise(self, draw):
        generator = np.random.default_rng(1)
        curves = (read_curve(RATES, getattr(generator, draw)(size=100)) for _ in range(200))
        assert [curve.suggestions for curve in curves] == [None] * 200

    def test_a_fall_within_the_noise_is_none_and_the_reason_has_both(self):
        noise = np.random.default_rng(2).normal(scale=0.5, size=100)
        curve = read_curve(RATES, fall(-3.0, height=0.5) + noise)
        assert curve.suggestions is None
        assert "scatter by 0.4" in curve.reason

    def test_a_flat_curve(self):
        assert "would stand out" in read_curve(RATES, [2.0] * 100).reason

    def test_a_curve_that_only_rises(self):
        losses = 2.0 + np.exp(np.log10(RATES))
        assert "begin at a lower rate" in read_curve(RATES, losses).reason

    def test_too_few_steps(self):
        assert "after 6 steps" in read_curve(RATES, fall(-6.9)[:6], diverged=True).reason

    def test_a_curve_that_is_not_yet_at_its_foot(self):
        curve = read_curve(RATES[:50], fall(-3.0)[:50])
        assert curve.suggestions is None
        assert "sweep higher" in curve.reason


class TestSweep:
    def test_it_finds_the_fall_of_a_real_training(self):
        curve = find_lr(*plain_blobs())
        assert curve.reason == ""
        assert 1e-3 < curve.suggestions["valley"] < 1.0

    @pytest.mark.parametrize("options", [[], ["training.accumulate=2", "training.clip_norm=0.1"]])
    def test_a_step_is_the_step_of_the_trainer(self, options, tmp_path):
        setup, config = blobs(*options, "schedule=constant", "training.epochs=1")
        training = TrainingCopy(setup, config)
        steps = math.ceil(len(setup.train) / config.training.accumulate)
        for _ in range(steps):
            training.step(config.optim.lr)
        folder = RunFolder(tmp_path)
        reporter = Reporter(folder, folder.begin_attempt())
        train(setup, TrainingPlan(config, "val_loss", "min"), reporter, folder)
        reporter.close()
        stepped = training.model.state_dict()
        assert all(torch.equal(stepped[n], value) for n, value in setup.model.state_dict().items())
        assert torch.equal(training.task.hardness, setup.task.hardness)

    def test_it_leaves_no_trace(self):
        setup, config = blobs("training.accumulate=2", "optim.lr=0.1")
        setup.task.loss(setup.model, next(iter(setup.train.epoch(0)))).total.backward()
        setup.model[4].eval()
        setup.model[0].bias.requires_grad_(False)
        before = everything(setup)
        curve = find_lr(setup, config)
        assert len(set(curve.losses)) > 10, "it did train"
        assert everything(setup) == before

    def test_it_leaves_no_trace_when_interrupted(self):
        setup, config = blobs()
        before = everything(setup)

        def interrupt(*_):
            random.random(), np.random.rand(), torch.rand(1)
            raise KeyboardInterrupt

        setup.task.after_step = interrupt
        with pytest.raises(KeyboardInterrupt):
            find_lr(setup, config)
        del setup.task.after_step
        assert everything(setup) == before

    def test_the_same_curve_comes_twice(self):
        setup, config = blobs()
        first = find_lr(setup, config)
        torch.rand(3)
        assert find_lr(setup, config) == first

    def test_an_optimizer_in_use_and_the_training_after_it_are_not_touched(self):
        def trained(with_sweep: bool) -> torch.Tensor:
            setup, config = blobs()
            optimizer = torch.optim.AdamW(setup.model.parameters(), lr=0.01)
            for batch in setup.train.epoch(0):
                setup.task.loss(setup.model, batch).total.backward()
                optimizer.step()
                optimizer.zero_grad()
                if with_sweep:
                    find_lr(setup, config, steps=20)
            return torch.cat([p.detach().flatten() for p in setup.model.parameters()])

        assert torch.equal(trained(with_sweep=True), trained(with_sweep=False))

    def test_groups_keep_their_scale(self):
        class OnlyTheLast(BlobsTask):
            def param_groups(self, model):
                first, last = list(model[0].parameters()), list(model[4].parameters())
                return [Group("first", first, lr_scale=0.0), Group("last", last)]

            def after_step(self, model, batches, loss):
                watched.append((model[0].weight.clone(), model[4].weight.clone()))

        watched: list[tuple[torch.Tensor, torch.Tensor]] = []
        setup, config = blobs("optim.weight_decay=0.0")
        task = OnlyTheLast()
        find_lr(dataclasses.replace(setup, task=task), config, steps=20)
        assert torch.equal(watched[0][0], watched[-1][0])
        assert not torch.equal(watched[0][1], watched[-1][1])

    @pytest.mark.parametrize("explosion", [1e6, math.inf, math.nan])
    def test_it_stops_when_the_loss_explodes(self, explosion):
        setup, config = blobs()
        task = Curve([2.0] * 10 + fall(-3.0)[:70].tolist() + [explosion] * 50)
        setup = dataclasses.replace(setup, task=task)
        curve = find_lr(setup, config)
        assert curve.diverged
        assert 70 <= len(curve.rates) <= 72
        assert len(curve.rates) == len(curve.losses) == len(curve.smoothed)
        assert all(map(math.isfinite, curve.losses))
        assert curve.suggestions is not None

    def test_a_task_that_says_so_diverges(self):
        class Says(BlobsTask):
            def loss(self, model, batch):
                raise Diverged("not finite")

        setup, config = blobs()
        curve = find_lr(dataclasses.replace(setup, task=Says()), config)
        assert curve.losses == []
        assert "after 0 steps" in curve.reason

    def test_a_negative_loss_is_not_taken_for_an_explosion(self):
        setup, config = blobs()
        task = Curve((fall(-3.0) - 9.0).tolist())
        assert not find_lr(dataclasses.replace(setup, task=task), config).diverged

    def test_a_loss_that_rises_by_itself_is_waited_for(self):
        rises = np.linspace(0.1, 2.4, 40).tolist()
        setup, config = blobs()
        task = Curve(rises + [2.5] * 10 + fall(-3.0).tolist())
        curve = find_lr(dataclasses.replace(setup, task=task), config)
        assert curve.losses[0] == pytest.approx(2.5, rel=1e-3)
        assert curve.suggestions is not None

    def test_noise_that_no_rate_can_lower(self):
        setup, config = blobs()
        task = Curve(np.random.default_rng(3).normal(2.0, 0.1, size=500).tolist())
        curve = find_lr(dataclasses.replace(setup, task=task), config)
        assert curve.suggestions is None

    def test_no_batches(self):
        setup, config = blobs("training.batch_size=97")
        with pytest.raises(DataError, match="no batch"):
            find_lr(setup, config)

    @pytest.mark.parametrize("precision", ["bf16", "fp16"])
    def test_a_lower_precision_gives_nearly_the_same_curve(self, precision):
        whole, lower = (
            find_lr(*plain_blobs(f"training.precision={name}")) for name in ("fp32", precision)
        )
        assert lower.losses != whole.losses
        assert lower.losses[:50] == pytest.approx(whole.losses[:50], rel=0.05)
        ratio = lower.suggestions["steepest"] / whole.suggestions["steepest"]
        assert abs(math.log10(ratio)) < 0.4

    @pytest.mark.gpu
    @pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
    def test_it_leaves_no_trace_on_a_gpu(self, precision):
        setup, config = plain_blobs(f"training.precision={precision}")
        on_gpu = dataclasses.replace(setup, train=OnGpu(setup.train))
        torch.rand(1, device="cuda")
        before = everything(setup)
        assert find_lr(on_gpu, config).suggestions is not None
        assert everything(setup) == before
