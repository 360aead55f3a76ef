from hypothesis import given
from hypothesis import strategies as st

from tunewright.config.tree import copy_tree, drop, flatten, get, merge, set_leaf

KEYS = st.sampled_from("abcd")
LEAVES = st.one_of(st.none(), st.integers(), st.lists(st.integers(), max_size=2))
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(LEAVES, inner), max_size=3),
    max_leaves=8,
)


def test_flatten_keeps_an_empty_mapping_as_a_leaf():
    assert flatten({"a": {"b": 1}, "c": {}}) == {"a.b": 1, "c": {}}


@given(TREES)
def test_every_leaf_is_found_under_its_path(tree):
    assert all(get(tree, path) == value for path, value in flatten(tree).items())


@given(TREES, TREES)
def test_what_is_merged_above_wins_and_nothing_given_is_changed(below, above):
    before = copy_tree(below), copy_tree(above)
    tree = merge(below, above)
    assert (below, above) == before
    assert all(get(tree, p) == v for p, v in flatten(above).items() if v != {})
    kept = {p: v for p, v in flatten(below).items() if v != {} and get(above, p, tree) is tree}
    shadowed = [p for p in flatten(above) if get(above, p) != {}]
    for path, value in kept.items():
        if not any(path.startswith(f"{top}.") for top in shadowed):
            assert get(tree, path) == value


def test_put_makes_its_way_and_replaces_what_is_no_mapping():
    tree = {"a": 1}
    set_leaf(tree, "a.b.c", 2)
    assert tree == {"a": {"b": {"c": 2}}}
    set_leaf(tree, "a.b", {"d": 3})
    assert tree == {"a": {"b": {"c": 2, "d": 3}}}


def test_a_path_that_is_not_there():
    tree = {"a": {"b": None}}
    assert get(tree, "a.b", "x") is None
    assert get(tree, "a.b.c", "x") == "x"
    drop(tree, "a.x.y")
    drop(tree, "a.b")
    assert tree == {"a": {}}


def test_what_is_put_stays_as_it_is():
    tree, value = {}, {"b": {"c": 1}}
    set_leaf(tree, "a", value)
    set_leaf(tree, "a.b.d", 2)
    assert tree == {"a": {"b": {"c": 1, "d": 2}}}
    assert value == {"b": {"c": 1}}
