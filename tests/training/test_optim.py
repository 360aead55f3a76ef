"""Optimisers by name: the list against the installed packages, and trainings with some of them."""

import inspect
import itertools
from pathlib import Path

import pytest
import timm.optim
import torch
from practice.blobs.setup import BlobsTask
from practice.components.optimizers import Modal
from torch import nn

from tunewright import job
from tunewright.config.components.optimizers import (
    OTHER_OPTIMIZERS,
    OWN_KEYS,
    TIMM_OPTIMIZERS,
    TYPED,
    OtherOptimizer,
    constructor_options,
)
from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest, Outcome
from tunewright.search.prepare import build_checked_space, run_part, stage
from tunewright.spaces.read import parse_space
from tunewright.training.checkpoint import load_weights
from tunewright.training.optim import make_optimizer
from tunewright.training.task import Arrays, Batch, Group


def test_the_list_is_that_of_timm_and_torch() -> None:
    theirs = {n for n in timm.optim.list_optimizers() if not n.startswith(("apex", "bnb", "fused"))}
    assert theirs - {*TYPED} == TIMM_OPTIMIZERS
    classes = {n for n, c in vars(torch.optim).items() if inspect.isclass(c)} - {"Optimizer"}
    assert {n for n in OTHER_OPTIMIZERS if n[0].isupper()} == classes
    everything = TIMM_OPTIMIZERS | {*TYPED} | classes | {n.lower() for n in classes}
    assert OTHER_OPTIMIZERS.keys() == everything - {*TYPED}


@pytest.mark.parametrize("name", OTHER_OPTIMIZERS)
def test_the_options_read_off_the_source_are_those_of_the_constructor(name: str) -> None:
    made = (
        timm.optim.get_optimizer_class(name, bind_defaults=False)
        if name in TIMM_OPTIMIZERS
        else getattr(torch.optim, OTHER_OPTIMIZERS[name].partition(":")[2])
    )
    assert OTHER_OPTIMIZERS[name].endswith(f":{made.__name__}")
    expected = [p for p in inspect.signature(made).parameters if p not in OWN_KEYS]
    assert list(constructor_options(OTHER_OPTIMIZERS[name])) == expected


def test_timms_own_defaults_are_those_of_its_factory() -> None:
    for name in ("lamb", "sgdw", "rmsprop", "adagrad", "lion", "nadamw", "adafactorbv", "momentum"):
        theirs = timm.optim.create_optimizer_v2(network().parameters(), name, lr=0.1)
        ours = make_optimizer(OtherOptimizer(type=name, lr=0.1), grouped(network()))
        assert type(ours) is type(theirs)
        assert ours.defaults == theirs.defaults, name


def network() -> nn.Module:
    return nn.Linear(3, 2)


def grouped(model: nn.Module) -> list[Group]:
    return [Group("all", list(model.parameters()))]


def test_an_option_of_a_list_is_a_tuple_where_the_constructor_wants_one() -> None:
    config = OtherOptimizer(type="lion", options={"betas": [0.9, 0.95]})
    assert make_optimizer(config, grouped(network())).param_groups[0]["betas"] == (0.9, 0.95)


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["optim.type=lbfgs"], "lbfgs evaluates the loss several times in a step"),
        (["optim.type=adahessian"], "adahessian needs second derivatives"),
        (["optim.type=SparseAdam"], "SparseAdam takes sparse gradients only"),
        (["optim.type=lionn"], "Did you mean 'lion'?"),
        (["optim=lion"], "Write optim.type=lion."),
        (
            ["optim.type=lion", "optim.options.beta=1"],
            "options of the optimizer lion (betas, caution, corrected_weight_decay, maximize, "
            "foreach), not beta (did you mean 'betas'?)",
        ),
        (["optim.options.amsgrad=true"], "since no other kind has this key (it is adamw)"),
    ],
)
def test_what_a_configuration_gets_wrong(overrides: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(find_recipe("blobs"), overrides)
    assert complaint in str(caught.value)
    assert "override" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (OtherOptimizer(type="rprop", weight_decay=0.1), "the optimizer rprop has no weight decay"),
        (OtherOptimizer(type="Muon"), "the optimizer Muon cannot be made: Muon only supports 2D"),
        (OtherOptimizer(type="lion", options={"betas": [2.0, 3.0]}), "Invalid beta parameter"),
        (OtherOptimizer(type="twofold"), "needs more than one gradient in a step"),
        (OtherOptimizer(type="no_optimizer"), "no_optimizer is a float"),
        (OtherOptimizer(type="broken"), "broken = practice.absent:broken"),
        (
            OtherOptimizer(type="sign_descent", options={"momentun": 0.9}),
            "(momentum), not momentun (did you mean 'momentum'?)",
        ),
    ],
)
def test_what_is_found_when_it_is_made(config: OtherOptimizer, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_optimizer(config, grouped(network()))
    assert complaint in str(caught.value)


def test_a_version_of_timm_that_lacks_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> object:
        raise ValueError(f"Optimizer {name} not found in registry")

    monkeypatch.setattr(timm.optim, "get_optimizer_class", lacking)
    with pytest.raises(ConfigError, match=r"the installed timm has no optimizer lamb\. pip"):
        make_optimizer(OtherOptimizer(type="lamb"), grouped(network()))


# --- trainings ------------------------------------------------------------------------------------

HARD = (
    "schedule=one_cycle",
    "schedule.warmup_steps=3",
    "training.ema_decay=0.9",
    "training.accumulate=2",
    "training.clip_norm=0.5",
    "training.checkpoint_seconds=0",
    "training.epochs=4",
    "optim.weight_decay=0.02",
)


class LayerDecayTask(BlobsTask):
    """Halves the learning rate of the first layer, as layer-wise decay does."""

    def param_groups(self, model: nn.Module) -> list[Group]:
        groups = super().param_groups(model)
        return [Group(g.name, g.parameters, 0.5**i, g.decays) for i, g in enumerate(groups)]


def trained(path: Path, overrides: list[str], *, pause_after: int | None = None) -> Outcome:
    """The outcome of a run of `blobs`, which is paused once and resumed where that is asked."""
    folder = RunFolder(path)
    folder.write_config(run_part(compose(find_recipe("blobs"), [*HARD, *overrides]).tree))

    def pause() -> None:
        if read_progress(folder.progress)[-1].step == pause_after and folder.attempt == 1:
            folder.write_request(EndRequest("pause", 1))

    for _ in range(1 if pause_after is None else 2):
        folder.begin_attempt()
        outcome = job.run(folder, threads=1, on_report=pause, redirect=False)
    assert folder.attempt == (1 if pause_after is None else 2)
    return outcome


@pytest.mark.parametrize("name", ["adam", "lion", "lamb", "muon", "adopt", "RMSprop", "modal"])
def test_a_resumed_training_is_the_same(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With warm-up, accumulation, clipping, layer decay, weight decay and averaged weights."""
    monkeypatch.setattr("practice.blobs.setup.BlobsTask", LayerDecayTask)
    overrides = [f"optim.type={name}", "optim.lr=0.01"]
    if name == "modal":
        overrides.append("optim.weight_decay=0")
    whole = trained(tmp_path / "whole", overrides)
    parts = trained(tmp_path / "parts", overrides, pause_after=2)
    assert whole.state == parts.state == "done"
    assert whole.metrics == parts.metrics
    one, other = (
        load_weights(tmp_path / n / "checkpoints" / "best.safetensors") for n in ("whole", "parts")
    )
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_one_that_swaps_weights_is_evaluated_in_its_evaluation_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Watched(BlobsTask):
        def predict(self, model: nn.Module, batch: Batch) -> Arrays:
            seen.append("predict")
            return super().predict(model, batch)

    monkeypatch.setattr("practice.blobs.setup.BlobsTask", Watched)
    monkeypatch.setattr(Modal, "swap", lambda self, training: swap(self, training, seen))
    trained(tmp_path / "run", ["optim.type=modal", "optim.weight_decay=0", "training.epochs=2"])
    changes = [mode for mode, _ in itertools.groupby(seen)]
    assert changes == ["evaluate", *(["train", "evaluate", "predict"] * 2)]


def swap(optimizer: Modal, training: bool, seen: list[str]) -> None:
    seen.append("train" if training else "evaluate")
    optimizer.param_groups[0]["training"] = training


# --- spaces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["optim.type", "optim.name"])
def test_a_space_chooses_among_optimisers_and_their_options(key: str) -> None:
    recipe = find_recipe("blobs")
    given = parse_space(
        {
            "inherit": False,
            "parameters": {
                key: {"choices": ["adamw", "lamb", "lion"]},
                "optim.beta1": {"low": 0.8, "high": 0.95},
                "optim.options.caution": {"choices": [True, False]},
                "optim.options.trust_clip": {
                    "choices": [True, False],
                    "when": {key: "lamb"},
                },
            },
        },
        Path("space.yaml"),
        recipe.dialect.aliases,
    )
    composed = compose(recipe)
    tree, config = stage(recipe, composed, "explore")
    space, _ = build_checked_space(recipe, composed, tree, config, given)
    conditions = {p.path: [str(c) for c in p.when] for p in space.parameters}
    assert "lamb" not in str(conditions["optim.beta1"])
    assert "lamb" in str(conditions["optim.options.trust_clip"])
    assert "lion" not in str(conditions["optim.options.trust_clip"])
