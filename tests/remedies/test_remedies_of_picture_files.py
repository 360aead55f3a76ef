"""What errors about single pictures and their decoded copies advise, followed by hand."""

import errno
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mend_as_advised import Advice, enter, obey
from tunewright.errors import TunewrightError
from tunewright.images.databases.stored_pictures import from_base64
from tunewright.images.dataset.config import ImagesConfig
from tunewright.images.dataset.datasets import open_sets
from tunewright.images.loading.batching import Batching
from tunewright.images.loading.decode_workers import Processes
from tunewright.images.sources.decode import PictureSource
from tunewright.images.sources.heic import BRANDS

TUNE = "tune flowers model=small data.image_size=16 data.dir"
PLAIN = f"{TUNE}=d"
SKIP = "data.skip_bad=true"


def drawn(number: int) -> Image.Image:
    """Draw a picture that differs from all others."""
    pixels = np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def folders(each: int = 12) -> None:
    """Write two class folders."""
    for at, name in enumerate(("lily", "rose")):
        Path("d", name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            drawn(each * at + number).save(f"d/{name}/{number}.png")


def with_file(content: bytes, name: str = "d/lily/3.png") -> Callable[[], None]:
    """Write class folders with other bytes in one file."""

    def make() -> None:
        folders()
        Path(name).write_bytes(content)

    return make


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


DEEP = encoded(Image.fromarray(np.arange(120, dtype=np.uint16).reshape(10, 12) * 500))
HEIC = bytes(4) + b"ftyp" + next(iter(BRANDS)) + bytes(100)


def scaled_down() -> None:
    """Choose which values become black and white."""
    values = np.asarray(Image.open(io.BytesIO(DEEP)), dtype=np.float64)
    Image.fromarray((values / values.max() * 255).astype(np.uint8)).save("d/lily/3.png")


def most_spoilt() -> None:
    folders()
    for number in range(6):
        Path(f"d/rose/{number}.png").write_bytes(b"<html>")


def dangling() -> None:
    folders()
    Path("d/lily/3.png").unlink()
    Path("d/lily/3.png").symlink_to("gone.png")


def there() -> None:
    drawn(99).save("d/lily/gone.png")


def zipped(spoilt: str = "", index: bool = False) -> Callable[[], None]:
    """Write d.zip of class folders, or of a table too, with a wrong byte in one of its files."""

    def make() -> None:
        folders()
        if index:
            rows = [f"{n}.png,{name}" for n in range(12) for name in ("rose",)]
            rows += [f"{n + 12}.png,lily" for n in range(12)]
            for number in range(12):
                Path(f"d/lily/{number}.png").rename(f"d/{number + 12}.png")
                Path(f"d/rose/{number}.png").rename(f"d/{number}.png")
            Path("d/index.csv").write_text("\n".join(["file,label", *rows]))
        with zipfile.ZipFile("d.zip", "w") as archive:
            for file in sorted(Path("d").rglob("*.*")):
                archive.write(file, file.relative_to("d"))
        if spoilt:
            with zipfile.ZipFile("d.zip") as archive:
                info = archive.getinfo(spoilt)
            content = bytearray(Path("d.zip").read_bytes())
            content[info.header_offset + 30 + len(spoilt) + 20] ^= 0xFF
            Path("d.zip").write_bytes(content)
        shutil.rmtree("d")

    return make


def records(change: Callable[[list[dict]], object] = lambda records: None, **classes: int) -> None:
    """Write a manifest of pictures with a change to its records, and the numbers of classes."""
    Path("d").mkdir(exist_ok=True)
    found = []
    for number in range(24):
        drawn(number).save(f"d/{number}.png")
        label = "rose" if number % 2 else "lily"
        record = {"id": str(number), "image_path": f"{number}.png", "label": label}
        found.append({**record, "camera": f"c{number // 2}"})
    change(found)
    lines = "".join(json.dumps(record) + "\n" for record in found)
    Path("d/manifest.jsonl").write_text(lines)
    if classes:
        Path("d/class_to_idx.json").write_text(json.dumps(classes))


def put(key: str, value: object) -> Callable[[list[dict]], None]:
    return lambda found: found[3].update({key: value})


def table(header: str = "file,label", cells: Callable[[int], str] | None = None) -> None:
    """Write a table of pictures."""
    Path("d").mkdir(exist_ok=True)
    for number in range(24):
        drawn(number).save(f"d/{number}.png")
    plain = cells or (lambda n: "lily" if n % 2 else "rose")
    rows = [f"{number}.png,{plain(number)}" for number in range(24)]
    Path("d/index.csv").write_text("\n".join([header, *rows]))


def mapped(header: str) -> None:
    """Write a table of the Kaggle kind, with a mapping of its labels."""
    table("image_id,label")
    Path("d/train").mkdir()
    for file in Path("d").glob("*.png"):
        file.rename(Path("d/train", file.name))
    Path("d/index.csv").rename("d/train.csv")
    Path("d/category_mapping.csv").write_text(f"{header}\nlily,1\nrose,2\n")


def unlabelled() -> None:
    table("file,kind", lambda n: f"k{n % 2}")


def remapped(header: str) -> Callable[[], object]:
    return lambda: Path("d/category_mapping.csv").write_text(f"{header}\nlily,1\nrose,2\n")


SHEET = "augment flowers executor.type=inline data.dir=d data.image_size=16 --level light --output"
MANY = f"{PLAIN} data.multi_label=true"
CASES = {
    "an empty file": Advice(PLAIN, "Replace the files", None, with_file(b""), folders),
    "an empty file, left out": Advice(
        PLAIN, f"leave them out with {SKIP}", f"{PLAIN} {SKIP}", with_file(b"")
    ),
    "too many broken files": Advice(
        f"{PLAIN} {SKIP}", "copy or download it again", None, most_spoilt, folders
    ),
    "a file that is gone": Advice(PLAIN, "Replace the files", None, dangling, there),
    "a zip with a wrong byte": Advice(
        f"{TUNE}=d.zip", "Replace the files", None, zipped("lily/3.png"), zipped()
    ),
    "a zip with a wrong byte, left out": Advice(
        f"{TUNE}=d.zip", SKIP, f"{TUNE}=d.zip {SKIP}", zipped("lily/3.png")
    ),
    "a table in a zip with a wrong byte": Advice(
        f"{TUNE}=d.zip", "Copy it again", None, zipped("index.csv", index=True), zipped(index=True)
    ),
    "a box outside": Advice(
        PLAIN, "Replace the files", None, lambda: records(put("bbox_xyxy", [90, 90, 99, 99])),
        records,
    ),
    "16 bits": Advice(PLAIN, "Replace the files", None, with_file(DEEP), scaled_down),
    "a bare label": Advice(
        MANY, "Correct the line", None, lambda: records(put("label", [{"a": 1}])), records
    ),
    "a bare label, taken out": Advice(
        MANY, "or take it out", None, lambda: records(put("label", [{"a": 1}])),
        lambda: records(lambda found: found.pop(3)),
    ),
    "a key of groups": Advice(
        f"{PLAIN} data.group_by=camra", "Did you mean 'camera'?", f"{PLAIN} data.group_by=camera",
        records,
    ),
    "a label of no class": Advice(
        PLAIN, "Did you mean 'rose'?", None,
        lambda: records(put("label", "rosee"), lily=0, rose=1), lambda: records(lily=0, rose=1),
    ),
    "a mapping without labels": Advice(
        PLAIN, "Rename the column 'labl' to 'label'", None, lambda: mapped("labl,category_id"),
        remapped("label,category_id"),
    ),
    "a mapping of other columns": Advice(
        PLAIN, "Rename one of them to 'label'", None, lambda: mapped("xyz,category_id"),
        remapped("label,category_id"),
    ),
    "no column of labels": Advice(
        MANY, "'data.columns={label: COLUMN}'", f"{MANY} 'data.columns={{label: kind}}'", unlabelled
    ),
    "no columns of classes": Advice(
        MANY, "'data.columns={classes: [A, B, C]}'",
        f"{MANY} 'data.columns={{classes: [lily, rose]}}'",
        lambda: table("file,lily,rose", lambda n: f"{'yes' if n % 2 else 'no'},{n % 2}"
                      if n else "no,yes"),
    ),
    "no data": Advice(
        lambda: open_sets(ImagesConfig()), "data.dir=FOLDER",
        lambda: open_sets(ImagesConfig(dir="d")), mend=folders,
    ),
    "a sheet below a file": Advice(
        f"{SHEET} d/lily/3.png/a.png", "choose another path", f"{SHEET} a.png", folders
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_advice_about_a_set_helps(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    obey(CASES[case])


def opened(name: str, place: str = "d/lily") -> Callable[[], object]:
    """Return the door of one picture, as `pairs embed` reads it."""

    def read() -> object:
        with PictureSource(place) as source:
            return source.open(name)

    return read


def heic(content: bytes) -> Callable[[], None]:
    return with_file(content, "d/lily/3.heic")


ONE = {
    "a name misspelt": Advice(opened("3.pgn"), "Did you mean '3.png'?", opened("3.png"), folders),
    "no such file": Advice(
        opened("xyz.png"), "Check the path", None, folders, lambda: drawn(1).save("d/lily/xyz.png")
    ),
    "a file of another number": Advice(
        opened("30.png"), "Check the path", None, folders, lambda: drawn(1).save("d/lily/30.png")
    ),
    "an empty file": Advice(opened("3.png"), "Copy the file again", None, with_file(b""), folders),
    "no picture": Advice(opened("3.png"), "Replace the file", None, with_file(b"<html>"), folders),
    "16 bits": Advice(opened("3.png"), "Convert it", None, with_file(DEEP), scaled_down),
    "a cut zip": Advice(
        opened("lily/3.png", "d.zip"), "Copy or download it again", None,
        lambda: Path("d.zip").write_bytes(b"PK\3\4"), zipped(),
    ),
    "a zip with a wrong byte": Advice(
        opened("lily/3.png", "d.zip"), "Copy the archive again", None, zipped("lily/3.png"),
        zipped(),
    ),
    "HEIC without its plug-in": Advice(
        opened("3.heic"), "or convert such files to JPEG or PNG", opened("3.png"), heic(HEIC)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE)
def test_the_advice_about_a_picture_helps(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    obey(ONE[case])


def test_a_picture_that_may_be_a_bomb(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    small = Image.new("RGB", (5, 5))
    read = opened("3.png")
    obey(Advice(read, "Scale it down", mend=lambda: small.save("d/lily/3.png")))


@pytest.mark.parametrize("then", [f"{PLAIN} data.window='[0, 65535]'", f"{PLAIN} {SKIP}"])
def test_16_bits_in_a_training(then, tmp_path, monkeypatch):
    """The reason of each picture names the window; the set's own advice is to leave it out."""
    monkeypatch.chdir(tmp_path)
    obey(Advice(PLAIN, "data.window" if "window" in then else SKIP, then, with_file(DEEP)))


@pytest.mark.parametrize("mend", ["access", "elsewhere"])
def test_a_folder_that_may_not_be_listed(mend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders()
    scanned = os.scandir

    def scandir(place):
        if Path(place).name == "lily" and Path("closed").exists():
            raise PermissionError(errno.EACCES, "Permission denied")
        return scanned(place)

    def give() -> None:
        if mend == "elsewhere":
            Path("d/lily").rename("elsewhere")
            Path("d/pink").mkdir()
            drawn(50).save("d/pink/0.png")
            drawn(51).save("d/pink/1.png")
        else:
            Path("closed").unlink()

    Path("closed").touch()
    monkeypatch.setattr(os, "scandir", scandir)
    said = "Give yourself access to it" if mend == "access" else "or move it elsewhere"
    obey(Advice(PLAIN, said, mend=give))


KEPT = f"{PLAIN} data.store=memory"
FULL = OSError(errno.ENOSPC, "No space left on device")


def full_disk(patch: pytest.MonkeyPatch) -> None:
    def allocate(*_: int) -> None:
        if "elsewhere" not in os.environ["TUNEWRIGHT_CACHE"]:
            raise FULL

    patch.setattr(os, "posix_fallocate", allocate)


def little_space(patch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage

    def measured(place: Path) -> object:
        return usage(place) if "elsewhere" in str(place) else SimpleNamespace(free=1000)

    patch.setattr("tunewright.images.loading.shared_file.shutil.disk_usage", measured)


def closed_cache(patch: pytest.MonkeyPatch) -> None:
    makes = Path.mkdir

    def mkdir(folder: Path, *given: object, **named: object) -> None:
        if {"cache", "images"} < {*folder.parts} and not folder.exists():
            raise PermissionError(errno.EACCES, "Permission denied")
        makes(folder, *given, **named)  # type: ignore[arg-type]

    patch.setattr(Path, "mkdir", mkdir)


def patients() -> None:
    """Write patients with two photographs each."""
    Path("d").mkdir()
    rows = ["patient_id,left_file,right_file,text,label"]
    for number in range(24):
        for side in ("left", "right"):
            drawn(2 * number + (side == "left")).save(f"d/{number}{side}.png")
        rows.append(f"p{number},{number}left.png,{number}right.png,an eye,{'ab'[number % 2]}")
    Path("d/index.csv").write_text("\n".join(rows))


@pytest.mark.parametrize("recipe", ["flowers", "retina"])
@pytest.mark.parametrize("fault", [full_disk, little_space, closed_cache])
def test_decoded_pictures_that_cannot_be_kept(fault, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "elsewhere").mkdir()
    (folders if recipe == "flowers" else patients)()
    typed = "tune retina training.batch_size=4 data.dir=d" if recipe == "retina" else KEPT
    fault(monkeypatch)
    elsewhere = str(tmp_path / "elsewhere")
    obey(
        Advice(
            typed, "set TUNEWRIGHT_CACHE to a folder elsewhere",
            mend=lambda: monkeypatch.setenv("TUNEWRIGHT_CACHE", elsewhere),
        )
    )  # fmt: skip


def test_decoded_pictures_that_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    folders()
    full_disk(monkeypatch)
    obey(Advice(KEPT, "use data.store=stream", f"{PLAIN} data.store=stream"))


def test_a_picture_in_base64():
    obey(
        Advice(
            lambda: from_base64(b"%%%", "it"), "Write it again", lambda: from_base64(b"aGk=", "it")
        )
    )


def test_more_micro_batches_than_rows():
    batching = Batching(batch_size=8, seed=0, micro_batches=4)
    lower = Batching(batch_size=8, seed=0, micro_batches=3)
    obey(
        Advice(lambda: batching.limit_to(3), "Lower training.accumulate", lambda: lower.limit_to(3))
    )


@pytest.mark.parametrize("setting", ["data.workers=1", "training.batch_size=2"])
def test_a_worker_that_died(setting, tmp_path, monkeypatch):
    """No test fills the memory: the loader says what PyTorch's does then."""
    monkeypatch.chdir(tmp_path)
    folders()

    class Killed:
        def __iter__(self):
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    held = object.__new__(Processes)
    held._tasks, held._loader = SimpleNamespace(batches=()), Killed()
    with pytest.raises(TunewrightError) as refused:
        list(held.batches([]))
    assert setting.partition("=")[0] in refused.value.remedy
    enter(f"{PLAIN} {setting}")
