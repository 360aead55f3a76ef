"""The ZIP: complete, the same every time, read back."""

import zipfile

import pytest

from tunewright.classification.delivery.submission import REQUIRED, verify_zip, write_zip
from tunewright.errors import DataError


def contents() -> dict[str, bytes]:
    files = {name: f"content of {name}\n".encode() * 50 for name in REQUIRED}
    return {"model/best_model.safetensors": bytes(range(256)) * 400, **files}


def test_the_same_bytes_whenever_and_in_whatever_order(tmp_path):
    files = contents()
    on_disk = tmp_path / "weights"
    on_disk.write_bytes(files["model/best_model.safetensors"])
    write_zip(tmp_path / "a.zip", files)
    backwards = dict(reversed(files.items())) | {"model/best_model.safetensors": on_disk}
    write_zip(tmp_path / "b.zip", backwards)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_names_are_sorted_and_dates_are_fixed(tmp_path):
    packed = write_zip(tmp_path / "a.zip", contents())
    assert [one.name for one in packed] == sorted(contents())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        kinds = {entry.filename: entry.compress_type for entry in archive.infolist()}
        assert archive.testzip() is None
    assert kinds["model/best_model.safetensors"] == zipfile.ZIP_STORED
    assert kinds["README.md"] == zipfile.ZIP_DEFLATED


@pytest.mark.parametrize("missing", [*REQUIRED, "model/best_model.safetensors"])
def test_every_required_file_is_missed(tmp_path, missing):
    files = contents()
    del files[missing]
    with pytest.raises(DataError, match=missing):
        write_zip(tmp_path / "a.zip", files)
    assert not (tmp_path / "a.zip").exists()
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match=missing):
        verify_zip(tmp_path / "b.zip")


def test_a_damaged_zip_is_found_out(tmp_path):
    file = tmp_path / "a.zip"
    write_zip(file, contents())
    content = bytearray(file.read_bytes())
    at = content.find(bytes(range(256)))
    content[at + 5] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataError, match="wrong checksum"):
        verify_zip(file)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a readable ZIP"):
        verify_zip(file)


def test_a_damaged_text_is_found_out(tmp_path):
    """Texts are compressed: what is damaged in them stops the decompressor."""
    file = tmp_path / "a.zip"
    write_zip(file, contents())
    with zipfile.ZipFile(file) as archive:
        entry = archive.getinfo("README.md")
    content = bytearray(file.read_bytes())
    at = entry.header_offset + 30 + len("README.md")
    content[at : at + 4] = b"\xff" * 4
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip is not a readable ZIP .*decompressing"):
        verify_zip(file)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in [*contents(), "README.md"]:
            archive.writestr(name, b"x")
    with pytest.raises(DataError, match="a name twice"):
        verify_zip(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "code/../../outside"])
def test_names_stay_inside(tmp_path, name):
    with pytest.raises(DataError, match="names inside the archive"):
        write_zip(tmp_path / "a.zip", {**contents(), name: b"x"})
