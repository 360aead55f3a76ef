"""predictions.csv: what is written, and what is refused."""

import pytest

from tunewright.classification.delivery.predictions_csv import (
    check_predictions,
    read_predictions,
    write_predictions,
    write_probabilities,
)
from tunewright.errors import DataError

IDS = ["b.jpg", "a.jpg", "ä b,1.png", 'say "x"', "007"]


def test_bytes_as_contests_want_them(tmp_path):
    file = tmp_path / "p.csv"
    write_predictions(file, IDS, ["0", "1", "2", "1", "0"])
    assert file.read_bytes() == (
        'image_id,label\nb.jpg,0\na.jpg,1\n"ä b,1.png",2\n"say ""x""",1\n007,0\n'.encode()
    )
    assert read_predictions(file) == (IDS, ["0", "1", "2", "1", "0"])


def test_probabilities_have_a_column_a_class(tmp_path):
    file = tmp_path / "p.csv"
    write_probabilities(file, ["x"], ["164", "165"], [[0.25, 0.75]])
    assert file.read_text() == "image_id,164,165\nx,0.25,0.75\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfimage_id,label\na,0\n", "byte order mark"),
        ("image_id,label\nä,0\n".encode("latin-1"), "not UTF-8"),
        (b"image_id,label\r\na,0\r\n", "Windows line ends"),
        (b"image_id,label\ra,0\r", "carriage returns: expected LF alone"),
        (b'image_id,label\n"a\rb",0\n', "carriage returns"),
        (b"id,label\na,0\n", "the header image_id,label"),
        (b"", "the header image_id,label"),
        (b"image_id,label\na\n", "line 2"),
        (b"image_id,label\na,0\n\nb,1\n", "line 3"),
        (b"image_id,label\na,\n", "an id and a label"),
        (b"image_id,label\n", "no predictions"),
    ],
)
def test_what_no_contest_reads_is_refused(tmp_path, content, text):
    file = tmp_path / "p.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=text):
        read_predictions(file)


@pytest.mark.parametrize("rows", [30, 20_000])
def test_a_stray_quote_is_found_where_it_stands(tmp_path, rows):
    """In a large file the rest of it is more than `csv` takes for one field."""
    file = tmp_path / "p.csv"
    lines = [f"{row}.png,0" for row in range(rows)]
    lines[3] = '"3.png,0'
    file.write_text("\n".join(["image_id,label", *lines, ""]))
    with pytest.raises(DataError, match=r"line 5 of .*p\.csv has a quote .*: '\"3\.png,0'"):
        read_predictions(file)


@pytest.mark.parametrize("opened", ["{},0", "{}", "0.png,{}"])
@pytest.mark.parametrize("header", ["image_id,label\n", ""])
def test_a_field_of_many_lines_is_not_printed_whole(tmp_path, header, opened):
    file = tmp_path / "p.csv"
    many = '"' + "1.png,0\n" * 1000 + '"'
    file.write_text(header + opened.format(many) + "\n")
    with pytest.raises(DataError, match="…") as caught:
        check_predictions(file, *read_predictions(file), expected=["0.png"], classes={"0"})
    assert len(str(caught.value).replace(str(file), "")) < 400


def test_a_missing_file_says_how_it_is_made(tmp_path):
    with pytest.raises(DataError, match="tunewright predict RUN"):
        read_predictions(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("ids", "labels", "text"),
    [
        (["a", "b", "b"], ["0", "1", "1"], r"1 more than once \('b'\)"),
        (["a", "b"], ["0", "1"], r"1 without a prediction \('c'\)"),
        (["a", "b", "c", "d"], list("0101"), r"1 not in the test set \('d'\)"),
        (["a", "c", "b"], ["0", "1", "1"], r"another order, from line 3 on: 'c' in place of 'b'"),
        (["a", "b", "c"], ["0", "1", "7"], r"1 no label of the model \('7'\)"),
        (["A", "b", "c"], ["0", "1", "1"], "'A'"),
    ],
)
def test_what_does_not_fit_the_test_set_is_named(tmp_path, ids, labels, text):
    with pytest.raises(DataError, match=text):
        check_predictions(
            tmp_path / "p.csv", ids, labels, expected=["a", "b", "c"], classes={"0", "1"}
        )


def test_what_fits_passes(tmp_path):
    expected = ["b", "a"]
    check_predictions(tmp_path / "p", ["b", "a"], ["1", "1"], expected=expected, classes={"0", "1"})
