"""The guide's name of a model, whose group has another."""

import pytest

from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.registry import find_recipe


def test_the_guides_swin_transformer_is_named() -> None:
    with pytest.raises(ConfigError, match=r"model=swin_transformer.*Write model=swin_v2_base\."):
        compose(find_recipe("flowers"), ["model=swin_transformer"])
    compose(find_recipe("flowers"), ["model=swin_v2_base"])
