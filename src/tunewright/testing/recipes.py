"""Contract tests for recipes."""

import math
import subprocess
import sys
from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from tunewright.config.apply import with_values
from tunewright.config.check import validate
from tunewright.config.compose import Composition, compose
from tunewright.config.layers import Layer
from tunewright.config.leaves import leaves
from tunewright.recipes.recipe import Recipe, import_object
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import build_checked_space, stage
from tunewright.search.stages import train

TORCH_FREE = """
import sys
from tunewright.recipes.registry import find_recipe
from tunewright.config.compose import compose
recipe = find_recipe({name!r})
recipe.check_data(compose(recipe).config)
assert "torch" not in sys.modules, "torch was imported"
"""


class RecipeContract(ABC):
    """Inherit this class and name the recipe.

    small: overrides that make its default configuration train in seconds. beside: what a choice of
    a group (`loss=asymmetric`) or the words of a key (`balance.schedule.type`) are chosen with.
    """

    name: ClassVar[str]
    small: ClassVar[Sequence[str]] = ()
    beside: ClassVar[Mapping[str, Sequence[str]]] = {}

    @pytest.fixture
    def recipe(self) -> Recipe:
        """Return the recipe under test."""
        return find_recipe(self.name)

    @pytest.fixture
    def composed(self, recipe: Recipe) -> Composition:
        """Compose its default configuration with `small`, for two epochs in this process."""
        overrides = [*self.small, "training.epochs=2", "executor.type=inline"]
        return compose(recipe, overrides)

    def test_the_declaration_imports_without_torch(self) -> None:
        subprocess.run([sys.executable, "-c", TORCH_FREE.format(name=self.name)], check=True)

    def test_its_name_is_the_one_it_is_found_by(self, recipe: Recipe) -> None:
        assert recipe.name == self.name
        assert compose(recipe).config.recipe == self.name

    def test_every_shipped_group_file_composes(self, recipe: Recipe) -> None:
        for file in sorted(f for d in (recipe.conf, *recipe.groups) for f in d.glob("*/*.yaml")):
            chosen = f"{file.parent.name}={file.stem}"
            compose(recipe, [*self.beside.get(chosen, ()), chosen])

    def test_every_alias_and_every_word_leads_to_a_key(self, recipe: Recipe) -> None:
        known = leaves(recipe.config)
        assert {path for path in recipe.dialect.aliases.values() if path not in known} == set()
        assert set(recipe.dialect.options.values()) <= {"space", "config", "runs-dir"}
        assert not recipe.dialect.options.keys() & recipe.dialect.aliases.keys()
        for path, words in recipe.dialect.value_aliases.items():
            for word, own in words.items():
                if path not in known:  # a group, whose file the error names
                    compose(recipe, [f"{path}={own}"])
                    continue
                tree = compose(recipe, [*self.beside.get(path, ()), f"{path}='{word}'"]).tree
                assert str(_get(tree, path)) == own

    def test_every_capability_leads_to_a_function(self, recipe: Recipe) -> None:
        assert all(callable(import_object(target)) for target in recipe.capabilities.values())

    def test_the_goal_is_measured(self, recipe: Recipe, composed: Composition) -> None:
        metric, direction = recipe.goals(composed.config)[0]
        assert metric.startswith("val_")
        assert direction in ("max", "min")

    def test_the_space_builds_and_its_default_is_a_valid_configuration(
        self, recipe: Recipe
    ) -> None:
        composed = compose(recipe, self.small)
        tree, config = stage(recipe, composed, "explore")
        space, _ = build_checked_space(recipe, composed, tree, config, None)
        default = space.default()
        assert default is not None, "the default is forbidden"
        assert space.contains(default)
        changed, config = with_values(tree, space.complete(default), recipe.config)
        assert validate(changed, recipe.config) == config

    def test_micro_batches_make_as_many_steps(self, recipe: Recipe) -> None:
        """Check that a run retried with smaller micro-batches is the same training."""
        if not recipe.setup:
            pytest.skip("it brings its own training")
        import torch

        steps = []
        for parts in (1, 2):
            config = compose(recipe, [*self.small, f"training.accumulate={parts}"]).config
            batches = len(import_object(recipe.setup)(config, torch.device("cpu")).train)
            steps.append(math.ceil(batches / parts))
            assert batches % parts == 0, "the last step of an epoch would be a smaller one"
        assert steps[0] == steps[1]

    def test_training_runs_and_its_config_alone_gives_the_same_score(
        self, recipe: Recipe, composed: Composition, tmp_path: Path
    ) -> None:
        metric, _ = recipe.goals(composed.config)[0]
        first = train(recipe, composed, name="first", runs=tmp_path)
        stored = first.folders[0].config
        again = compose(
            recipe, ["executor.type=inline"], layers=[Layer(stored, _tree(first.folders[0]))]
        )
        second = train(recipe, again, name="second", runs=tmp_path)
        assert first.outcomes[0].state == "done"
        assert metric in first.outcomes[0].metrics
        assert second.outcomes[0].metrics == first.outcomes[0].metrics


def _tree(folder: RunFolder) -> dict[str, object]:
    return folder.read_config()


def _get(tree: object, path: str) -> object:
    for key in path.split("."):
        assert isinstance(tree, dict)
        tree = tree[key]
    return tree
