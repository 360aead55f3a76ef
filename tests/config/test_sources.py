from pathlib import Path

from tunewright.config.sources import (
    DEFAULT,
    Source,
    lines_of,
    overlay_sources,
    source_of,
    sources_in,
)

FILE = Path("a.yaml")


def test_a_place_as_it_is_read():
    assert str(DEFAULT) == "default"
    assert str(Source(FILE)) == "a.yaml"
    assert str(Source(FILE, 3)) == "a.yaml:3"
    assert str(Source(override="optim.lr=1")) == "override 'optim.lr=1'"


def test_lines_of_nested_and_dotted_keys(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("# a comment\noptim:\n  lr: 1\n  betas: [1, 2]\nmodel.type: clip\n")
    assert lines_of(file) == {"optim": 2, "optim.lr": 3, "optim.betas": 4, "model.type": 5}


def test_a_file_that_cannot_be_read_has_no_lines(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [")
    assert lines_of(tmp_path / "broken.yaml") == {}
    assert lines_of(tmp_path / "none.yaml") == {}


def test_leaves_of_a_group_file_stand_below_its_package(tmp_path):
    file = tmp_path / "adamw.yaml"
    file.write_text("lr: 1\nbase: &base {x: 1}\nmore:\n  <<: *base\n")
    tree = {"lr": 1, "more": {"x": 1}}
    assert sources_in(file, tree, "optim") == {
        "optim.lr": Source(file, 1),
        "optim.more.x": Source(file, 3),  # not literally in the file: its branch is
    }


def test_a_branch_has_the_source_of_what_is_in_it_and_a_leaf_that_of_its_branch():
    sources = {"a.b": Source(FILE, 1), "c": Source(FILE, 2)}
    assert source_of(sources, "a") == Source(FILE, 1)
    assert source_of(sources, "c.d.e") == Source(FILE, 2)
    assert source_of(sources, "x") is DEFAULT


def test_a_new_leaf_ends_what_lay_under_it():
    below = {"a.b": Source(FILE, 1), "ab": Source(FILE, 2)}
    above = {"a": Source(FILE, 9)}
    assert overlay_sources(below, above) == {"ab": Source(FILE, 2), "a": Source(FILE, 9)}
