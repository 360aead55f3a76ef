import pytest

from tunewright.config.interpolations import check_interpolations
from tunewright.errors import ConfigError


@pytest.mark.parametrize(
    "tree",
    [
        {"a": "x", "b": "${a}-${a}", "c": ["${b}", {"d": "${.e}", "e": "y"}]},
        {"a": "${oc.env:HOME}/x", "b": "${missing}", "n": 3},
        {"s": {"p": "1", "q": "2"}, "t": "${s}", "k": "p", "u": "${s.${k}}", "v": "${s[p]}"},
    ],
)
def test_ordinary_references(tree):
    check_interpolations(tree)


@pytest.mark.parametrize(
    ("tree", "complaint"),
    [
        ({"a": "${a}"}, "the interpolation in a refers to itself"),
        ({"a": "${b}", "b": {"c": "x ${a}"}}, "refers to itself"),
        ({"s": {"a": "${..s}"}}, "refers to itself"),
        (
            {"a0": "0123456789"} | {f"a{i}": f"${{a{i - 1}}}" * 8 for i in range(1, 12)},
            "expand to .* characters, most of them in a11",
        ),
        (
            {"z": "a"} | {f"a{i}": f"${{${{z}}{i - 1}}}" * 8 for i in range(1, 12)},
            "expand to",
        ),
        ({"a": "x", "b": "${a}" * 1001}, "1,001 interpolations"),
    ],
)
def test_references_without_end(tree, complaint):
    with pytest.raises(ConfigError, match=complaint):
        check_interpolations(tree)
