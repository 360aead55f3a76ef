"""JSON is what its standard says: numbers that are none are found where they stand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.runs.documents import parse_json

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
