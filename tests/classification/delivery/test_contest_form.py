"""The form that a sample submission shows: header, ids, order, and what its cells hold."""

import pytest

from tunewright.classification.delivery.contest_form import plain_form
from tunewright.classification.delivery.sample_submission import read_form
from tunewright.errors import DataError

TEXTS = {
    "labels": ("0", "1", "2"),
    "category ids": ("164", "165", "1749"),
    "names": ("cat", "dog", "sea_lion"),
}
IDS = ["b.jpg", "a.jpg"]
SHARES = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]


def template(tmp_path, text, name="sample_submission.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def filled(form, ids=IDS):
    order = form.order(ids)
    return [tuple(row) for row in form.table([SHARES[at] for at in order])]


@pytest.mark.parametrize(
    ("cells", "answers"),
    [("0", ("2", "0")), ("164", ("1749", "164")), ("dog", ("sea_lion", "cat")), ("", ("2", "0"))],
)
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_labels_in_the_words_of_the_template(tmp_path, cells, answers, mark):
    lines = ["Id,Category", f"a,{cells}", f"b,{cells}"]
    form = read_form(template(tmp_path, "\n".join(lines).replace(",", mark)), TEXTS)
    assert form.form == "labels"
    assert filled(form) == [("Id", "Category"), ("a", answers[0]), ("b", answers[1])]
    assert form.notices == ()
    assert form.delimiter == mark


def test_a_placeholder_that_is_no_class_is_told(tmp_path):
    form = read_form(template(tmp_path, "id,label\nb.jpg,unknown\na.jpg,unknown\n"), TEXTS)
    assert filled(form)[1:] == [("b.jpg", "0"), ("a.jpg", "2")]
    assert "'unknown' is no class of the run" in form.notices[0]


@pytest.mark.parametrize("cells", ["0 1", "cat dog", "165 164"])
def test_several_labels_best_first(tmp_path, cells):
    form = read_form(template(tmp_path, f"image,labels\na,{cells}\nb,{cells}\n"), TEXTS)
    assert (form.form, form.top) == ("top-k", 2)
    written = filled(form)[1][1].split(" ")
    vocabulary = next(known for known in TEXTS.values() if cells.split()[0] in known)
    assert written == [vocabulary[2], vocabulary[1]]


def test_the_form_may_be_said(tmp_path):
    file = template(tmp_path, "id,label\na,x y z w v\nb,x y z w v\n")
    with pytest.raises(DataError, match=r"several words that are no classes.*--form top-k"):
        read_form(file, TEXTS)
    form = read_form(file, TEXTS, form="top-k")
    assert filled(form)[1] == ("a", "2 1 0")
    assert read_form(file, TEXTS, form="top-k", top=1).top == 1
    assert plain_form("top-k", IDS, TEXTS["labels"], None).table(SHARES)[1] == ["b.jpg", "0 1 2"]
    rows = plain_form("probabilities", IDS, TEXTS["labels"], None).table(SHARES)
    assert rows[:2] == [("image_id", "0", "1", "2"), ["b.jpg", "0.5", "0.3", "0.2"]]


@pytest.mark.parametrize(
    "header",
    ["2,0,1", "1749,164,165", "sea_lion,cat,dog", "class_2,class_0,class_1", "SEA_LION,Cat,Dog"],
)
def test_probabilities_in_the_order_of_the_columns(tmp_path, header):
    form = read_form(template(tmp_path, f"id,{header}\na,0,0,1\nb,0,0,1\n"), TEXTS)
    assert form.form == "probabilities"
    assert filled(form)[1:] == [("a", "0.7", "0.1", "0.2"), ("b", "0.2", "0.5", "0.3")]


def test_probabilities_need_each_class_and_no_other_column(tmp_path):
    file = template(tmp_path, "id,cat,dog,bird\na,0,0,1\n")
    match = (
        r"1 classes of the run have no column in it \('sea_lion'\); 1 columns are no class.*'bird'"
    )
    with pytest.raises(DataError, match=match):
        read_form(file, TEXTS)
    two = {"labels": ("cat", "dog")}
    one = read_form(template(tmp_path, "id,dog\na,0.5\nb,0.5\n"), two)
    assert [row[1] for row in one.table([[0.25, 0.75], [1.0, 0.0]])] == ["dog", "0.75", "0"]
    with pytest.raises(DataError, match=r"'label' of .* holds numbers that are no classes.*--form"):
        read_form(template(tmp_path, "id,label\na,0.5\nb,0.5\n"), two)


def test_another_column_keeps_its_cells(tmp_path):
    file = template(tmp_path, "id,label,Usage\na,0,Public\nb,0,Private\n")
    form = read_form(file, TEXTS)
    assert filled(form)[1:] == [("a", "2", "Public"), ("b", "0", "Private")]
    assert "'Usage' keep the template's cells" in form.notices[0]
    with pytest.raises(DataError, match=r"the columns id, x, y, of which none is a class"):
        read_form(template(tmp_path, "id,x,y\na,0,1\n"), TEXTS)


@pytest.mark.parametrize(
    "given", [["x/b.jpg", "x/a.jpg"], ["b", "a"], ["test/b.png", "test/a.png"]]
)
def test_ids_are_found_without_suffix_and_folder(tmp_path, given):
    form = read_form(template(tmp_path, "id,label\na,0\nb,0\n"), TEXTS)
    assert form.order(given) == [1, 0]


def test_missing_and_additional_ids_are_named(tmp_path):
    form = read_form(template(tmp_path, "id,label\na,0\nb,0\nc,0\n"), TEXTS)
    match = r"1 of its ids have no picture \('c'\); 1 pictures are not in it \('d\.jpg'\)"
    with pytest.raises(DataError, match=match):
        form.order(["a.jpg", "d.jpg", "b.jpg"])
    with pytest.raises(DataError, match=r"1 pictures are not in it \('d'\)"):
        form.order(["a", "b", "c", "d"])
    with pytest.raises(DataError, match=r"1 more than once \('a'\)"):
        read_form(template(tmp_path, "id,label\na,0\na,0\n"), TEXTS)
    with pytest.raises(DataError, match="a row without an id"):
        read_form(template(tmp_path, "id,label\n,0\na,0\n"), TEXTS)


def test_labels_with_blanks_cannot_be_several(tmp_path):
    spaced = {"labels": ("sea lion", "cat")}
    assert read_form(template(tmp_path, "id,label\na,sea lion\n"), spaced).form == "labels"
    with pytest.raises(DataError, match=r"1 classes have names that contain blanks \('sea lion'\)"):
        plain_form("top-k", ["a"], spaced["labels"], 2)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("id,label\na,2\nb,0\n", None),
        ("Id,label\na,2\nb,0\n", "begins with 'Id,label': expected 'id,label'"),
        ("id;label\na;2\nb;0\n", "separated by commas"),
        ("id,label\nb,0\na,2\n", "ids in another order"),
        ("id,label\na,2\nc,0\n", r"1 not in it \('c'\); 1 without a row \('b'\)"),
        ("id,label\na,2\nb,7\n", "line 3: '7' is no label"),
        ("id,label\na,2\nb,0,1\n", "line 3: 3 cells"),
    ],
)
def test_a_file_is_checked_against_the_form(tmp_path, text, match):
    form = read_form(template(tmp_path, "id,label\na,0\nb,0\n"), TEXTS)
    if match is None:
        assert form.check(tmp_path / "p.csv", text) == 2
        return
    with pytest.raises(DataError, match=match):
        form.check(tmp_path / "p.csv", text)


def test_several_labels_and_probabilities_are_checked(tmp_path):
    several = read_form(template(tmp_path, "id,label\na,0 1\n"), TEXTS)
    assert several.check(tmp_path / "p.csv", "id,label\na,2 0\n") == 1
    for cell in ("2 2", "0 1 2", "0  1", "x"):
        with pytest.raises(DataError, match="line 2"):
            several.check(tmp_path / "p.csv", f"id,label\na,{cell}\n")
    shares = read_form(template(tmp_path, "id,0,1,2\na,0,0,0\n"), TEXTS)
    assert shares.check(tmp_path / "p.csv", "id,0,1,2\na,0.5,0.5,0\n") == 1
    for cell in ("nan", "1.5", "", "x"):
        with pytest.raises(DataError, match="no probability"):
            shares.check(tmp_path / "p.csv", f"id,0,1,2\na,0.5,0.5,{cell}\n")
