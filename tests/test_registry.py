import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import get_args

import pytest
from practice.quadratic.studies import tuned

from tunewright.config import study_schema
from tunewright.config.components.optimizers import OTHER_OPTIMIZERS, Optim, OtherOptimizer
from tunewright.config.components.plugins import PluginSection
from tunewright.config.components.schedules import Schedule
from tunewright.config.compose import compose
from tunewright.config.leaves import kinds_of
from tunewright.contrastive.losses import LOSSES
from tunewright.errors import ConfigError
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.pairs.heads import HEADS
from tunewright.recipes.registry import find_recipe
from tunewright.registry import Registry, load_plugin, plugin_names
from tunewright.search.study.pruners import PRUNERS
from tunewright.search.study.samplers import SAMPLERS, SEQUENCES
from tunewright.training.optim import OPTIMIZERS
from tunewright.training.schedule import SCHEDULES, WARMUP_KEYS


def shapes():
    registry = Registry("shape")

    @registry
    def square(sides, /, *, width: float = 1.0):
        return sides * width

    return registry, square


def test_a_component_keeps_its_name_and_stays_a_function():
    registry, square = shapes()
    assert registry["square"] is square
    assert list(registry) == ["square"]
    assert "square" in registry
    assert len(registry) == 1
    assert dict(registry.options("square")) == {"width": 1.0}


def test_an_unknown_name_is_answered_with_the_nearest():
    registry, _ = shapes()
    with pytest.raises(ConfigError, match=r"shape 'sqare': expected one of square\. Did you mean"):
        registry["sqare"]


def test_a_name_is_registered_once():
    registry, square = shapes()
    with pytest.raises(ValueError, match="registered twice"):
        registry(square)


@pytest.mark.parametrize(("section", "registry"), [("model", HEADS), ("loss", LOSSES)])
def test_the_schema_of_pairs_is_the_signatures_of_its_components(section, registry):
    kinds = kinds_of(PairsConfig.model_fields[section])
    assert set(kinds) == set(registry)
    for name, kind in kinds.items():
        fields = {k: f for k, f in kind.model_fields.items() if k != "type"}
        options = registry.options(name)
        assert {k: f.default for k, f in fields.items()} == dict(options), name
        assert [type(f.default) for f in fields.values()] == [type(v) for v in options.values()]
        assert get_args(kind.model_fields["type"].annotation) == (name,)


@pytest.mark.parametrize(
    ("union", "registry", "own"),
    [
        (study_schema.Pruner, PRUNERS, ()),
        (study_schema.Sampler, SAMPLERS, ()),
        (Schedule, SCHEDULES, WARMUP_KEYS),
        (Optim, OPTIMIZERS, ()),
    ],
)
def test_the_schema_of_a_component_is_its_signature(union, registry, own):
    kinds = {name: kind for kind in get_args(get_args(union)[0]) for name in names_of(kind)}
    shipped = {n: k for n, k in kinds.items() if not issubclass(k, PluginSection | OtherOptimizer)}
    offered = kinds.keys() - shipped.keys() - OTHER_OPTIMIZERS.keys()
    assert set(registry) - offered == shipped.keys() - SEQUENCES.keys()
    for name in shipped.keys() - SEQUENCES.keys():
        fields = {k: f for k, f in shipped[name].model_fields.items() if k not in ("type", *own)}
        assert {k: f.default for k, f in fields.items()} == dict(registry.options(name)), name


def names_of(kind):
    return get_args(kind.model_fields["type"].annotation)


# --- what installed packages offer ------------------------------------------------------------

GROUPS = ("optimizers", "schedules", "samplers", "pruners", "trackers", "executors", "recipes")


@pytest.mark.parametrize("group", GROUPS)
def test_a_broken_plug_in_is_an_error_that_names_its_entry_point(group):
    assert "broken" in plugin_names(f"tunewright.{group}")
    with pytest.raises(ConfigError) as caught:
        load_plugin(f"tunewright.{group}", "broken")
    text = str(caught.value)
    assert f"'broken' of tunewright.{group} cannot be imported" in text
    assert "broken = practice.absent:" in text
    assert (
        "(package practice) raised ModuleNotFoundError: No module named 'practice.absent'" in text
    )


@pytest.mark.parametrize(
    "override",
    [
        "schedule.type=broken",
        "study.sampler.type=broken",
        "study.pruner.type=broken",
        "trackers.broken={}",
        "executor.type=broken",
    ],
)
def test_only_who_names_a_broken_plug_in_hears_of_it(override):
    recipe = find_recipe("quadratic")
    compose(recipe)
    with pytest.raises(ConfigError, match=r"the entry point broken = practice\.absent:broken"):
        compose(recipe, [override])


def test_the_names_of_plug_ins_are_known_without_importing_them():
    code = """
import sys
sys.modules["torch"] = sys.modules["practice"] = None
from tunewright.config.leaves import choices_of
from tunewright.config.schema import RunConfig
from tunewright.recipes.registry import recipe_names
assert {"sign_descent", "lion", "adam"} <= {*choices_of(RunConfig, "optim.type")}
assert {"restarts", "cosine"} <= {*choices_of(RunConfig, "schedule.type")}
assert {"threshold", "asha"} <= {*choices_of(RunConfig, "study.pruner.type")}
assert {"threshold", "median"} <= {*choices_of(RunConfig, "study.pruner.wrapped.type")}
assert {"narrowing", "tpe"} <= {*choices_of(RunConfig, "study.sampler.type")}
assert {"counted", "local"} <= {*choices_of(RunConfig, "executor.type")}
assert {"notebook", "mlflow"} <= {*RunConfig.model_fields["trackers"].annotation.model_fields}
assert {"quadratic", "pairs", "broken"} <= {*recipe_names()}
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_package_cannot_replace_what_is_shipped():
    assert "adamw" in plugin_names("tunewright.optimizers")
    assert OPTIMIZERS["adamw"].__module__ == "tunewright.training.optim"
    config = compose(find_recipe("quadratic"), ["optim.type=adamw"]).config
    assert type(config.optim).__name__ == "AdamWConfig"


def test_a_name_that_two_packages_offer(monkeypatch):
    points = [EntryPoint("same", f"{module}:same", "tunewright.pruners") for module in "ab"]
    monkeypatch.setattr("tunewright.registry.entry_points", lambda group: points)
    with pytest.raises(ConfigError, match=r"'same' is offered twice .* = a:same and .* = b:"):
        load_plugin("tunewright.offered_twice", "same")


def test_what_is_no_component():
    registry = Registry("pruner", "tunewright.recipes")
    with pytest.raises(ConfigError, match=r"the pruner 'blobs' of tunewright\.recipes is a Recipe"):
        registry["blobs"]


def test_what_is_no_recipe(monkeypatch):
    monkeypatch.setattr("tunewright.recipes.registry.GROUP", "tunewright.pruners")
    with pytest.raises(ConfigError, match=r"'threshold' of tunewright\.pruners is a function"):
        find_recipe.__wrapped__("threshold")


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (
            ["study.pruner.type=threshold"],
            "at_least too, which the pruner threshold needs",
        ),
        (
            ["study.pruner.type=threshold", "study.pruner.options.at_leest=1"],
            "(at_least, step), not at_leest (did you mean 'at_least'?)",
        ),
        (["study.sampler.type=narrowing", "study.sampler.options.x=1"], "(power), not x"),
        (["schedule.type=restarts", "schedule.options.x=1"], "(cycles, final_fraction), not x"),
        (["executor.type=counted", "executor.options.x=1"], "(most), not x"),
        (["executor.options.x=1"], "no options, since the executor local takes none"),
        (["trackers.notebook.x=1"], "options of the tracker notebook (file), not x"),
        (["study.pruner.type=treshold"], "Did you mean 'threshold'?"),
        (["study.sampler.type=narowing"], "Did you mean 'narrowing'?"),
        (["schedule.type=restart"], "Did you mean 'restarts'?"),
        (["executor.type=countd"], "Did you mean 'counted'?"),
        (["trackers.notebok={}"], "Did you mean 'trackers.notebook'?"),
    ],
)
def test_what_a_configuration_gets_wrong_of_a_component(overrides, complaint):
    with pytest.raises(ConfigError) as caught:
        compose(find_recipe("quadratic"), overrides)
    assert complaint in str(caught.value)


def test_a_study_whose_components_all_come_from_a_package(tmp_path):
    result = tuned(
        tmp_path,
        "study.trials=6",
        "training.epochs=4",
        "executor.type=counted",
        "executor.options.most=6",
        "study.sampler.type=narrowing",
        "study.pruner.type=threshold",
        "study.pruner.options={at_least: -8.0, step: 2}",
        "trackers.notebook.file=copy.json",
    )
    states = {trial.state for trial in result.record.trials}
    assert states == {"done", "pruned"}
    reasons = {trial.reason for trial in result.record.trials if trial.state == "pruned"}
    assert reasons == {"worse than -8 at step 2"}
    copies = sorted((tmp_path / "study" / "trials").glob("*/copy.json"))
    assert len(copies) == 6
    assert json.loads(copies[0].read_text())["state"] in ("done", "pruned")


def test_a_function_is_substituted_for_a_while() -> None:
    known = Registry("thing")

    @known
    def first() -> int:
        return 1

    with known.substitute("first", lambda: 2), known.substitute("second", lambda: 3):
        assert [known[name]() for name in known] == [2, 3]
    assert [known[name]() for name in known] == [1]
