"""Whatever space can be built over the schema of `pairs`, all that is drawn from it is valid."""

import random
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tunewright.config.apply import with_values
from tunewright.config.tree import flatten, get
from tunewright.errors import SpaceError
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.registry import find_recipe
from tunewright.runs.atomic import dump_yaml, read_yaml
from tunewright.runs.folder import RunFolder
from tunewright.search.recovery.trial_from_folder import read_trial_folder, stored_space
from tunewright.search.storage.database import Settings
from tunewright.search.study.optuna_types import decoded_params
from tunewright.spaces.build import build_space
from tunewright.spaces.domain import canonical
from tunewright.spaces.parameter import Surroundings
from tunewright.spaces.read import SpaceFile, parse_space
from tunewright.spaces.sample import draw
from tunewright.spaces.specification import specification

NONE = SpaceFile({})
SETTINGS = Settings("pairs", "val_recall_1", "val_recall_1", "max", {}, {}, {}, {}, 0)
FACTS = {"rows": 5000, "image_width": 64, "text_width": 32}
CHOICES = {
    "model.type": ["siglip", "clip", "mlp", "attention"],
    "loss.type": ["sigmoid", "softmax", "queue"],
    "optim.type": ["adamw", "sgd"],
    "loss.learnable_temp": [True, False],
    "loss.sigmoid_bias": [True, False],
    "optim.nesterov": [True, False],
    "data.positives": ["image", "image_or_text"],
}
WHOLE = ["model.output_dim", "model.hidden_dim", "model.num_heads", "model.num_layers"]
WHOLE += ["model.tokens", "loss.queue_size", "training.batch_size", "training.accumulate", "seed"]
REAL = ["model.dropout", "loss.temperature", "optim.lr", "optim.weight_decay", "optim.momentum"]
PATHS = [*CHOICES, *WHOLE, *REAL]


@st.composite
def fields(draw, path):
    if path in CHOICES:
        options = st.lists(st.sampled_from(CHOICES[path]), min_size=1, unique=True)
        return {"type": "categorical", "choices": draw(options)}
    numbers = st.integers(1, 64) if path in WHOLE else st.floats(1e-3, 0.999)
    if draw(st.booleans()):
        values = st.lists(numbers, min_size=1, max_size=4, unique_by=canonical)
        return {"type": "categorical", "choices": draw(values)}
    low, high = sorted((draw(numbers), draw(numbers)))
    made = {"type": "int" if path in WHOLE else "float", "low": low, "high": high}
    scale = draw(st.sampled_from(["linear", "log", "step"]))
    if scale == "log":
        made["log"] = True
    elif scale == "step":
        made["step"] = draw(st.integers(1, 9) if path in WHOLE else st.floats(0.01, 1.0))
    return made


def value_of(path):
    if path in CHOICES:
        return st.sampled_from(CHOICES[path])
    return st.integers(1, 64) if path in WHOLE else st.floats(1e-3, 0.999)


@st.composite
def wanted(draw, path):
    """What a condition asks of a path: a value, several, or bounds."""
    one = value_of(path)
    kinds = [one, st.lists(one, min_size=1, max_size=3), st.fixed_dictionaries({"not": one})]
    if path not in CHOICES:
        names = st.sampled_from(["above", "below", "at_least", "at_most"])
        kinds.append(st.dictionaries(names, one, min_size=1, max_size=2))
    return draw(st.one_of(kinds))


@st.composite
def specifications(draw):
    paths = draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=7, unique=True))
    parameters = {path: draw(fields(path)) for path in paths}
    for place, path in enumerate(paths):
        if place and draw(st.booleans()):
            other = draw(st.sampled_from(paths[:place]))
            parameters[path]["when"] = {other: draw(wanted(other))}
    rules = [
        {
            path: draw(wanted(path))
            for path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=2))
        }
        for _ in range(draw(st.integers(0, 2)))
    ]
    derived = {"training.epochs": "2 + rows // 1000"} if draw(st.booleans()) else {}
    return {"inherit": False, "parameters": parameters, "forbid": rules, "derived": derived}


@st.composite
def surroundings(draw):
    values = {path: draw(st.sampled_from(CHOICES[path])) for path in ("model.type", "loss.type")}
    tree, _ = with_values(PairsConfig().model_dump(mode="json"), values, PairsConfig)
    return Surroundings(tree, PairsConfig, FACTS)


UNUSABLE = ("never reached", "nothing is left", "leave no combination", "refer to each other")


def built(tree, around):
    """The space; examples whose conditions and rules contradict each other are discarded."""
    try:
        return build_space(NONE, parse_space(tree, Path("drawn.yaml"), {}), around)[0]
    except SpaceError as error:
        assume(not any(reason in str(error) for reason in UNUSABLE))
        raise


THOROUGH = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@THOROUGH
@given(specifications(), surroundings(), st.integers(0, 999))
def test_all_that_is_drawn_is_a_valid_configuration(tree, around, seed):
    space = built(tree, around)
    values = draw(space, random.Random(seed))
    assume(values is not None)
    configured, config = with_values(around.tree, space.complete(values), PairsConfig)
    assert PairsConfig.model_validate(configured) == config
    assert space.contains(values)
    fixed = {path: v for path, v in flatten(around.tree).items() if path not in space}
    known = fixed | FACTS | values  # what is searched and was not drawn is not there
    for parameter in space.parameters:
        holds = all(c.path in known and c.holds(known[c.path]) for c in parameter.when)
        assert holds == (parameter.path in values)
        if holds:
            assert parameter.domain.contains(values[parameter.path])
            assert get(configured, parameter.path) == values[parameter.path]
    assert not any(rule.is_violated_by(known) for rule in space.forbid)


@THOROUGH
@given(specifications(), surroundings())
def test_a_specification_reads_back_as_the_same_space(tmp_path_factory, tree, around):
    space = built(tree, around)
    file = tmp_path_factory.getbasetemp() / "space.yaml"
    file.write_text(dump_yaml(specification(space)))
    again, notices = build_space(NONE, parse_space(read_yaml(file), file, {}), around)
    assert again == space
    assert notices == []


@THOROUGH
@given(specifications(), surroundings())
def test_the_first_point_is_in_the_space(tree, around):
    space = built(tree, around)
    first = space.default()
    assert first is None or space.contains(first)


@settings(THOROUGH, max_examples=15)  # each writes and reads two files
@given(specifications(), surroundings(), st.integers(0, 999))
def test_a_run_s_configuration_gives_back_what_was_sampled(tmp_path_factory, tree, around, seed):
    """By which the database of a study without `trial.json` is rebuilt."""
    space = built(tree, around)
    values = draw(space, random.Random(seed))
    assume(values is not None)
    folder = RunFolder(tmp_path_factory.getbasetemp() / "00000")
    folder.write_config(with_values(around.tree, space.complete(values), PairsConfig)[0])
    file = folder.path / "space.yaml"
    file.write_text(dump_yaml(specification(space)))
    again = stored_space(read_yaml(file), around.fixed)
    assert again.parameters == space.parameters
    told = read_trial_folder(folder, find_recipe("pairs"), SETTINGS, again)
    assert told.lost == ()
    assert decoded_params(told.trial) == values
