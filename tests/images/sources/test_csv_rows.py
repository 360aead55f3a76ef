"""Tables keep every row: a quote that swallows some is found on the line where it opens."""

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import DataError
from tunewright.images.sources.csv_rows import csv_rows, read_csv

TABLE = Path("table.csv")


def lines(rows=12, ends="\n", delimiter=","):
    """`id,label,note`, with a comma in one quoted note, and a quoted quote in another."""
    table = [["id", "label", "note"]]
    table += [[f"{n:03d}.png", ("rose", "lily")[n % 2], f"note {n}"] for n in range(rows)]
    table[3][2] = "red, and large"
    table[4][2] = 'a 5" pipe'
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=ends, delimiter=delimiter).writerows(table)
    return out.getvalue().split(ends)[:-1]


def all_rows(text, delimiter=","):
    return [row for _, row in csv_rows(TABLE, text, delimiter)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("line", [1, 2, 8, 13])
def test_a_quote_that_nothing_closes(line, column, ends, delimiter):
    table = lines(ends=ends, delimiter=delimiter)
    cells = table[line - 1].split(delimiter)
    cells[column] = '"' + cells[column]
    table[line - 1] = delimiter.join(cells)
    with pytest.raises(DataError, match=rf"line {line} of table\.csv has a quote that is not"):
        all_rows(ends.join([*table, ""]), delimiter)


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("last", [7, 8, 12])
def test_a_quote_that_another_stray_one_closes(column, last):
    table = lines()
    first = 6
    for line, form in ((first, '"{}'), (last, '{}"')):
        cells = table[line - 1].split(",")
        cells[column] = form.format(cells[column])
        table[line - 1] = ",".join(cells)
    with pytest.raises(DataError, match=rf"line 6 of .* closed on line {last}, below other rows"):
        all_rows("\n".join(table))


def test_a_table_of_one_column():
    with pytest.raises(DataError, match=r"line 2 of .* closed on line 4"):
        all_rows('image_id\n"1.png\n2.png\n3.png"\n4.png\n')


def test_a_quote_after_a_cell_of_several_lines():
    """The line of the quote, not that of its row."""
    with pytest.raises(DataError, match=r"line 4 of .* not closed.*three.,.stray"):
        all_rows('text,label\n"one\ntwo\nthree","stray\na,b\n')


def test_a_quote_that_ends_inside_its_cell():
    with pytest.raises(DataError, match=r"line 2 of .* not closed"):
        all_rows('id,label\n1,"rose"s\n2,lily\n')


def test_a_long_rest_is_not_printed():
    text = "id,label\n1,rose\n2," + '"' + "lily\n3,lily" * 20_000
    with pytest.raises(DataError, match="line 3 of") as caught:
        all_rows(text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        "A dog runs\nin the park, fast",
        "first line\nsecond line",
        "one, two\nthree, four",
        "ends\n",
        'a "quoted"\nword',
        "\n",
    ],
)
def test_texts_of_several_lines_are_texts(text):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["file", "text"], ["1.jpg", text], ["2.jpg", "short"]])
    assert all_rows(out.getvalue()) == [["file", "text"], ["1.jpg", text], ["2.jpg", "short"]]


def test_quotes_inside_plain_cells_are_text():
    assert all_rows('size,name\n5",a 3" nail\n') == [["size", "name"], ['5"', 'a 3" nail']]


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")), min_size=2),
        min_size=1,
    )
)
def test_what_is_written_is_read(table):
    out = io.StringIO(newline="")
    csv.writer(out).writerows(table)
    assert all_rows(out.getvalue()) == table


@given(st.data())
def test_no_stray_quote_loses_a_row(data):
    """Put anywhere, a quote is text, or refused by its line; rows never go without a word."""
    text = "\n".join(lines(6))
    at = data.draw(st.integers(0, len(text)))
    try:
        found = all_rows(text[:at] + '"' + text[at:])
    except DataError as error:
        line = int(re.search(r"line (\d+)", str(error))[1])
        assert line <= text[:at].count("\n") + 1
    else:
        assert len(found) == 7


def test_rows_begin_where_the_file_says(tmp_path):
    (tmp_path / "x.csv").write_text('id,note\n1,"a\nb"\n\n2,c\n')
    table = read_csv(tmp_path / "x.csv")
    assert table.cells == (("1", "a\nb"), ("2", "c"))
    assert table.lines == (2, 5)
