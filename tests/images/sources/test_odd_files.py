"""What lies in folders of pictures besides pictures: links, pipes, clutter, damaged archives."""

import contextlib
import io
import os
import zipfile
from unicodedata import normalize

import numpy as np
import pytest
from drawn_pictures import class_folders, draw, encoded, write_csv, write_jsonl, write_zip
from PIL import Image

from tunewright.errors import DataError
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets
from tunewright.images.image_table import PicturePlace
from tunewright.images.sources.archive import list_files
from tunewright.images.sources.decode import PictureSource, rgb
from tunewright.images.sources.open_source import open_table
from tunewright.images.sources.reader import PictureReader


def test_links_in_a_circle_of_two(tmp_path):
    class_folders(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "x.png").symlink_to("y.png")
    (tmp_path / "a" / "y.png").symlink_to("x.png")
    (tmp_path / "loop").symlink_to("loop")
    table = open_table(tmp_path)
    assert len(table) == 6
    assert "1 files of an unknown kind are left out (loop)" in table.notices
    with pytest.raises(DataError, match=r"x\.png cannot be read \(Too many levels"):
        PictureReader().content(table.places[table.ids.index("a/x.png")])


def test_a_pipe_and_a_folder_in_place_of_a_picture(tmp_path):
    class_folders(tmp_path, {"a": 12, "b": 12})
    os.mkfifo(tmp_path / "a" / "pipe.png")
    with pytest.raises(DataError, match="it is a pipe, not a regular file"):
        PictureReader().content(PicturePlace(tmp_path / "a" / "pipe.png"))
    sets = open_sets(ImagesConfig(dir=str(tmp_path), skip_bad=True))
    assert any("1 of 25 pictures are skipped" in notice for notice in sets.notices)


@pytest.mark.parametrize("name", ["index.csv", "manifest.jsonl", "x.zip", "t.csv"])
def test_a_pipe_in_place_of_a_source(tmp_path, name):
    class_folders(tmp_path, {"a": 1, "b": 1})
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="pipe, not a regular file"):
        open_table(tmp_path / name)


def test_what_systems_leave_behind(tmp_path):
    class_folders(tmp_path, {"a": 1, "b": 1})
    for clutter in ("$RECYCLE.BIN/S-1", "lost+found", "System Volume Information", ".Trash-1000"):
        draw(tmp_path / clutter / "0.png", 9)
    assert list_files(tmp_path).pictures == ("a/0.png", "b/0.png")


@pytest.mark.parametrize(("there", "asked"), [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize("zipped", [False, True])
def test_names_in_another_unicode_form(tmp_path, there, asked, zipped):
    names = ["Ångström/über_1.png", "Ångström/naïve.png"]
    pictures = {normalize(there, name): at for at, name in enumerate(names)}
    if zipped:
        write_zip(tmp_path / "images.zip", pictures)
    else:
        for name, at in pictures.items():
            draw(tmp_path / "images" / name, at)
    rows = [(normalize(asked, name), str(at)) for at, name in enumerate(names)]
    table = open_table(write_csv(tmp_path / "t.csv", [("file", "label"), *rows]))
    assert [PictureReader().content(place) for place in table.places] == [encoded(0), encoded(1)]
    assert table.ids == tuple(name for name, _ in rows)  # as the table writes them
    place = tmp_path / ("images.zip" if zipped else "images")
    with PictureSource(place) as source:
        assert source.open(normalize(asked, names[1])).size == (12, 10)


def test_one_class_in_two_unicode_forms(tmp_path):
    class_folders(tmp_path, {normalize("NFC", "train/é"): 2, normalize("NFD", "train/é"): 1})
    class_folders(tmp_path, {normalize("NFD", "valid/é"): 1, "train/b": 2}, start=5)
    table = open_table(tmp_path)
    assert table.classes == ("b", "\u00e9")
    [said] = [notice for notice in table.notices if "two Unicode forms" in notice]
    assert said.startswith("folders of the class 'é' are written")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_one_form_for_all_folders_is_not_told(tmp_path, form):
    class_folders(tmp_path, {normalize(form, f"{split}/é"): 1 for split in ("train", "valid")})
    class_folders(tmp_path, {"train/b": 2}, start=5)
    assert not any("Unicode" in notice for notice in open_table(tmp_path).notices)


def zipped_by_windows(place, names):
    """Write a zip with backslashes between folders, as .NET did before 4.6.1."""
    with zipfile.ZipFile(place, "w") as archive:
        for at, name in enumerate(names):
            archive.writestr(name.replace("/", "\\"), encoded(at))
    return place


def test_a_zip_with_backslashes_says_so(tmp_path):
    place = zipped_by_windows(tmp_path / "set.zip", ["a/0.png", "a/1.png", "b/2.png"])
    with pytest.raises(DataError, match="its names have backslashes") as refused:
        open_table(place)
    assert "Unpack it" in str(refused.value)


def test_a_table_beside_a_zip_with_backslashes(tmp_path):
    names = ["a/0.png", "b/1.png"]
    zipped_by_windows(tmp_path / "images.zip", names)
    write_csv(tmp_path / "index.csv", [("file", "label"), *zip(names, "ab", strict=True)])
    with pytest.raises(DataError, match="its names have backslashes"):
        open_table(tmp_path)


def test_two_files_that_differ_in_their_form_only(tmp_path):
    for at, form in enumerate(("NFC", "NFD")):
        draw(tmp_path / "images" / normalize(form, "é.png"), at)
    exact = write_csv(
        tmp_path / "t.csv", [("file", "label"), ("\u00e9.png", 0), ("e\u0301.png", 1)]
    )
    places = open_table(exact).places
    assert [PictureReader().content(place) for place in places] == [encoded(0), encoded(1)]


def test_classes_that_are_not_utf8(tmp_path):
    class_folders(tmp_path, {"a": 2, "b": 2})
    os.rename(os.fsencode(tmp_path / "b"), os.fsencode(tmp_path) + b"/fl\xfcgel")  # noqa: PTH104
    with pytest.raises(DataError, match="expected class names in UTF-8") as caught:
        open_table(tmp_path)
    str(caught.value).encode()


def test_numbers_of_thousands_of_digits(tmp_path):
    names = ["7" * 4500, "8" * 4500]
    write_zip(tmp_path / "x.zip", {f"{name}/{at}.png": at for at, name in enumerate(names)})
    assert open_table(tmp_path / "x.zip").classes == tuple(names)


@pytest.mark.parametrize("split", ["valid", "test", "dev"])
@pytest.mark.parametrize("settings", [{}, {"folds": 3}, {"test_split": 0.3}])
def test_nothing_to_train_on(tmp_path, split, settings):
    rows = [("file", "label", "split")]
    for at in range(6):
        draw(tmp_path / f"{at}.png", at)
        rows.append((f"{at}.png", str(at % 2), split))
    write_csv(tmp_path / "index.csv", rows)
    if settings.get("folds") and split != "test":
        return  # validation pictures join the folds
    with pytest.raises(DataError, match="leaves 0 pictures to train on"):
        open_sets(ImagesConfig(dir=str(tmp_path), **settings))


@pytest.mark.parametrize(
    ("at", "value"), [(4, 0xFF), (6, 0xFE), (8, 0x21), (10, 0x77), (42, 0xEE), (46, 0xF6)]
)
def test_a_damaged_directory_of_a_zip(tmp_path, at, value):
    content = bytearray(
        write_zip(tmp_path / "x.zip", {"a/0.png": 0, "a/1.png": 1, "b/0.png": 2}).read_bytes()
    )
    content[content.find(b"PK\x01\x02") + at] = value
    (tmp_path / "x.zip").write_bytes(content)
    with contextlib.suppress(DataError):  # or the damage does not matter
        for place in open_table(tmp_path / "x.zip").places:
            PictureReader().picture(place)


def test_a_file_that_is_packed_twice(tmp_path):
    names = ["a/0.png", "a/1.png", "b/0.png"]
    file = write_zip(tmp_path / "x.zip", {name: n for n, name in enumerate(names)})
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/1.png", archive.read("b/0.png"))
    with pytest.raises(DataError, match=r"a/1\.png' is packed twice.*Unpack the zip"):
        open_table(file)


def test_a_picture_in_a_zip_that_claims_to_be_huge(tmp_path):
    file = write_zip(tmp_path / "x.zip", {"a/0.png": 0, "b/0.png": 1})
    content = bytearray(file.read_bytes())
    at = content.find(b"PK\x01\x02") + 24
    content[at : at + 4] = b"\xff\xff\xff\x7f"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"it would take 2,147,483,647 bytes"):
        PictureReader().content(PicturePlace(file, "a/0.png"))


@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "JPEG2000", "GIF", "TIFF"])
def test_every_decoder_ends_in_one_sentence(kind):
    rng = np.random.default_rng(3)
    file = io.BytesIO()
    noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    try:
        Image.fromarray(noise).save(file, kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {kind}")
    for _ in range(60):
        content = bytearray(file.getvalue())
        for at in rng.integers(0, len(content), 6):
            content[at] = rng.integers(0, 256)
        with contextlib.suppress(DataError):
            rgb(bytes(content), "x")


def test_paths_of_a_manifest_that_no_system_takes(tmp_path):
    draw(tmp_path / "a.png", 0)
    first = {"image_path": "a.png", "label": "a"}
    for path in ("y" * 3000, "b\0.png", "/".join(["d"] * 3000)):
        write_jsonl(tmp_path / "manifest.jsonl", [first, {"image_path": path, "label": "b"}])
        with pytest.raises(DataError, match=r"1 pictures of .* do not exist") as caught:
            open_table(tmp_path)
        assert len(str(caught.value)) < 800


def test_a_zip_of_another_kind(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("index.csv", "file,label\na.png,1\n")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[content.find(b"PK\x03\x04") + 14] ^= 0xFF  # its checksum
    content[content.find(b"PK\x01\x02") + 16] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"index\.csv cannot be read \(Bad CRC"):
        open_table(tmp_path / "x.zip")
