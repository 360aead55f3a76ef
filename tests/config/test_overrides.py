"""Texts that go through the grammar of overrides and come back as they were."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunewright.config.compose import compose
from tunewright.config.overrides import quote_override
from tunewright.recipes.registry import find_recipe
from tunewright.request import parse_request

QUADRATIC = find_recipe("quadratic")
TEXTS = st.text(
    st.sampled_from("ab\\'\"${}:,[]= ~%#?\n\t")
    | st.characters(exclude_characters="\0", codec="utf-8"),
    max_size=12,
)


@given(TEXTS)
@example("a\\b")
@example("ends with \\")
@example("\\'")
@example("${oc.env:HOME}")
@example("\\${x}")
@example("null")
def test_a_text_comes_back(text: str) -> None:
    composed = compose(QUADRATIC, [f"study.name={quote_override(text)}"])
    assert composed.config.study.name == text


def test_lists_and_numbers_too() -> None:
    values = ["it's", "${x}", "a,b"]
    composed = compose(
        QUADRATIC, [f"study.constraints={quote_override(values)}", f"seed={quote_override(3)}"]
    )
    assert [*composed.config.study.constraints] == values
    assert composed.config.seed == 3


def test_options_of_commands_are_no_interpolations() -> None:
    url = "sqlite:///runs/${x}/50%25.db"
    settings = {"study.name": "${HOME}\\", "study.storage": url}
    study = parse_request(["quadratic"], command="tune", settings=settings).composed.config.study
    assert (study.name, study.storage) == ("${HOME}\\", url)


@pytest.mark.parametrize("name", ["jürgen", "it's", 'q"q', "a=b", "x[1]", "#", "~", "{a}", "${x}"])
def test_a_folder_of_groups_may_be_called_anything(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    (folder / "optim").mkdir(parents=True)
    (folder / "optim/mine.yaml").write_text("lr: 0.25\n")
    (folder / "top.yaml").write_text(
        "defaults:\n  - longtail\n  - override optim: mine\n  - _self_\ntraining:\n  epochs: 3\n"
    )
    config = compose(find_recipe("longtail"), config_dir=folder, config_name="top").config
    assert config.training.epochs == 3
    assert config.optim.lr == 0.25  # type: ignore[attr-defined]
