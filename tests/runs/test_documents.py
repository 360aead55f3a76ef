"""Texts from outside are read within limits, and what is refused is found where it stands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.runs.documents import YamlProblem, parse_json, parse_yaml

NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1E+400")


@pytest.mark.parametrize("word", NO_NUMBERS)
@pytest.mark.parametrize(
    "text",
    ["{}", '{{"label": {}}}', '[1,\n2.5e3, "NaN, \\" Infinity",\n {}]', '{{"a": [{{"b": {}}}]}}'],
)
def test_no_numbers_are_named_with_their_place(word, text):
    written = text.format(word)
    with pytest.raises(json.JSONDecodeError, match="is no number in JSON") as caught:
        parse_json(written)
    assert written.startswith(word, caught.value.pos)
    assert caught.value.lineno == written.count("\n") + 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text() | st.sampled_from(NO_NUMBERS),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)  # fmt: skip
def test_all_else_is_what_json_makes_of_it(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ('[{"b": {"x": 0, "x": 0}}]', "duplicate key 'x'"),
        ('{"n": ' + "7" * 4000 + "}", "a number of 4,000 digits"),
        ('{"n": -' + "1" * 301 + "}", "a number of 302 digits"),
        ('["\\ud83d"]', "half a character"),
        ('{"\\uDC00": 1}', "half a character"),
        ("[" * 33 + "]" * 33, "nested deeper than 32 levels"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "nested deeper than 32 levels"),
    ],
)
def test_json_beyond_the_limits(text, complaint):
    with pytest.raises(json.JSONDecodeError, match=complaint):
        parse_json(text)


def test_json_within_the_limits():
    digits = "9" * 301  # in a text they are no number
    assert parse_json(json.dumps([digits, 10**299, "\U0001f600"])) == [
        digits, 10**299, "\U0001f600"
    ]  # fmt: skip
    assert parse_json("[" * 32 + "]" * 32)
    assert parse_json("[NaN, 1e999]", finite=False)[1] == float("inf")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e-4\nb: 1E5\nc: 2001-01-01\nd: 1_000\n", [1e-4, 1e5, "2001-01-01", 1000]),
        ("a: 0x1F\nb: 017\nc: 1:30\nd: -.inf\n", [31, 15, 90, float("-inf")]),
        ("a: yes\nb: 'yes'\nc: ~\nd:\n", [True, "yes", None, None]),
        ("a: !!str 5\nb: !!float 3\nc: ! 7\nd: !!int '4'\n", ["5", 3.0, "7", 4]),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n", [{"p": 1, "q": 2}, {"p": 1, "q": 3}]),
        ("a: &x [1]\nb: [*x, *x]\n", [[1], [[1], [1]]]),
        ("a: =\nb: <<\n", ["=", "<<"]),
    ],
)
def test_yaml_that_people_write(text, value):
    assert list(parse_yaml(text).values()) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: !!python/name:os.system x\n", "line 2: the tag .*python/name:os.system"),
        ("a: !!set {x, y}\n", "line 1: the tag '!!set'"),
        ("a: !mine 1\n", "line 1: the tag '!mine'"),
        ("a: !!int 1.5\n", "line 1: !!int '1.5'; expected a whole number"),
        ("a: !!bool 2\n", "!!bool '2'; expected true or false"),
        ("a: !!null x\n", "!!null 'x'; expected null"),
        ("a:\n  - !!seq x\n", "line 2: !!seq 'x'; expected a list"),
        ("a: !!str [1]\n", "'!!str' on a list"),
        ("a: &a\n  b: *a\n", r"line 2: the alias \*a stands inside its own anchor"),
        ("a: *b\n", r"the alias \*b has no anchor|undefined alias"),
        ("? {a: 1}\n: 2\n", "a mapping as a key"),
        ("a: &x [1]\n*x : 2\n", "a list as a key"),
        ("~: 2\n", "a key without a name"),
        ("1: a\ntrue: b\n", "line 2: duplicate key True"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document"),
        ("a: {<<: 3}\n", "<< takes mappings only"),
        ("a: " + "8" * 301 + "\n", "a number of 301 characters"),
        ("a: 1." + "3" * 4000 + "\n", "a number of 4,002 characters"),
        ("- " * 40 + "1\n", "line 1: nested deeper than 32 levels"),
        ("a: " + "{b: " * 5000 + "\n", "line 1: nested deeper than 32 levels"),
        ("a: \x07\n", "control characters|unacceptable character|special characters"),
        ("a: [1,\nb: 2\n", "line "),
        ("# " + "x" * (4 << 20), "larger than 4,194,304 bytes"),
    ],
)
def test_yaml_that_is_refused(text, complaint):
    with pytest.raises(YamlProblem, match=complaint):
        parse_yaml(text)


def test_aliases_that_multiply_in_width_or_depth():
    wide = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{name}: &{name} {{{', '.join(f'k{i}: *{chr(ord(name) - 1)}' for i in range(10))}}}\n"
        for name in "bcdefghij"
    )
    with pytest.raises(YamlProblem, match="line 5: more than 50,000 values"):
        parse_yaml(wide)
    deep = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 40))
    with pytest.raises(YamlProblem, match="nested deeper than 32 levels"):
        parse_yaml(deep)


def test_the_lines_of_keys():
    lines: dict[str, int] = {}
    parse_yaml("a: 1\nb:\n  c: {d: 2}\n  e:\n    - f: 3\n1e-3: 4\n", lines)
    assert lines == {"a": 1, "b": 2, "b.c": 3, "b.c.d": 3, "b.e": 4, "0.001": 6}
