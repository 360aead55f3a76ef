from typing import get_args

import pytest

from tunewright.config.leaves import kinds_of
from tunewright.contrastive.losses import LOSSES
from tunewright.errors import ConfigError
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.pairs.heads import HEADS
from tunewright.registry import Registry


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
