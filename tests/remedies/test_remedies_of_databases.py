"""What errors about LMDBs of patients advise, followed by hand."""

import base64
import csv
import fcntl
import io
import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from PIL import Image

from mend_as_advised import Advice, enter, obey
from tunewright.errors import TunewrightError
from tunewright.images.databases.lmdb_reader import FILE, open_database, require_lmdb
from tunewright.recipes.retina.config import EyesConfig
from tunewright.recipes.retina.data import lmdb_build
from tunewright.recipes.retina.data.lmdb_build import build_lmdb
from tunewright.recipes.retina.data.lmdb_layout import ABOUT
from tunewright.recipes.retina.data.lmdb_verify import verify_lmdb

lmdb = pytest.importorskip("lmdb")

READ = "tune retina training.batch_size=4 goal=val_recall_1 data.dir"
BUILD = "retina build-lmdb d --output new"
BUILT = f"{READ}=new"
AGAIN = "tunewright retina build-lmdb PLACE --output FOLDER"


def picture(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 7 % 256, number * 31 % 256, number)).save(content, "PNG")
    return content.getvalue()


def write_patients() -> None:
    """Write a table of patients with their photographs."""
    Path("d").mkdir()
    rows = [("patient_id", "left_file", "right_file", "text", "label")]
    for number in range(20):
        names = [f"{number}_{side}.png" for side in ("left", "right")]
        for at, name in enumerate(names):
            Path("d", name).write_bytes(picture(2 * number + at))
        rows.append((f"p{number}", *names, "an eye", "ab"[number % 2]))
    with Path("d/index.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Path:
    """A folder with patients in a table, and in an LMDB."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        write_patients()
        build_lmdb(EyesConfig(dir="d"), Path("db"))
    return folder


@pytest.fixture
def here(sandbox, tmp_path, monkeypatch) -> Path:
    """A copy of the sandbox, in which the test works."""
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def change(part: str, key: str, value: bytes | None, split: str = "train") -> Callable[[], None]:
    """Write a value into an LMDB, or delete it, as another program would."""

    def make() -> None:
        folder = Path("db", split, part)
        content = (folder / FILE).read_bytes()
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / FILE).write_bytes(content)  # another file: the former one may be open
        opened = lmdb.open(str(folder), map_size=1 << 24, lock=False)
        with opened, opened.begin(write=True) as writing:
            writing.delete(key.encode())
            if value is not None:
                writing.put(key.encode(), value)

    return make


def about(split: str = "train", **changed: object) -> Callable[[], None]:
    """Change what an LMDB says about itself."""

    def make() -> None:
        held = json.loads(open_database(Path("db", split, "pairs", FILE)).require(ABOUT))
        change("pairs", ABOUT, json.dumps({**held, **changed}).encode(), split)()

    return make


def pickled(**entries: object) -> Callable[[], None]:
    """Write a split as RET-CLIP does, with some values of the pairs or pictures changed."""

    def make() -> None:
        shutil.rmtree("db")
        eyes = [base64.urlsafe_b64encode(picture(number)).decode() for number in range(2)]
        images: dict[str, object] = {str(number): tuple(eyes) for number in range(12)}
        pairs: dict[str, object] = {str(n): (n, n, "a report") for n in range(12)}
        for name, value in entries.items():
            (images if name.startswith("image") else pairs)[name[-1]] = value
        for part, values in (("imgs", images), ("pairs", {**pairs, "num_samples": b"12"})):
            folder = Path("db/train", part)
            folder.mkdir(parents=True)
            opened = lmdb.open(str(folder), map_size=1 << 24)
            with opened, opened.begin(write=True) as writing:
                for key, value in values.items():
                    raw = value if isinstance(value, bytes) else pickle.dumps(value)
                    writing.put(key.encode(), raw)

    return make


def cut(part: str, keep: Callable[[bytes], bytes]) -> Callable[[], None]:
    """Replace a file by what is left of it."""

    def make() -> None:
        file = Path("db/train", part, FILE)
        whole = file.read_bytes()
        file.unlink()
        file.write_bytes(keep(whole))

    return make


def without_root(whole: bytes) -> bytes:
    """Let both meta pages name a root page that is not there (MDB_meta of lmdb's mdb.c)."""
    far = (1 << 30).to_bytes(8, sys.byteorder)
    return b"".join(
        page[:128] + far + page[136:] for page in (whole[:4096], whole[4096:8192])
    ) + whole[8192:]  # fmt: skip


def spoilt(before: Callable[[], object], said: str = AGAIN) -> Advice:
    """Return a case that ends with an LMDB that is built again from the pictures."""
    return Advice(f"{READ}=db", said, BUILT, before, lambda: enter(BUILD))


def begun() -> None:
    """Leave the begun build of other data."""
    Path(".new.part").mkdir()
    Path(".new.part", lmdb_build.STATE).write_text("{}")


FIRST = "00000000"
CASES = {
    "classes of two kinds": spoilt(about("valid", classes=["a", "b", "c"])),
    "a later version": spoilt(about(version=9)),
    "a patient too few": spoilt(change("pairs", FIRST, None)),
    "a patient of another form": spoilt(change("pairs", FIRST, b'{"patient_id": "x"}')),
    "an unknown class": spoilt(about(classes=["a"])),
    "a picture too few": spoilt(change("imgs", FIRST, None)),
    "no JSON": spoilt(change("pairs", FIRST, b"{")),
    "no object": spoilt(change("pairs", FIRST, b"[]")),
    "no count": spoilt(change("pairs", "num_samples", None)),
    "a count in words": spoilt(change("pairs", "num_samples", b"many")),
    "a truncated file": spoilt(cut("imgs", lambda whole: whole[: len(whole) // 2])),
    "an empty file": spoilt(cut("imgs", lambda whole: b"")),
    "a file cut short, copied again": Advice(
        f"{READ}=db", "Copy it again", None, cut("pairs", lambda whole: whole[:100]),
        lambda: (shutil.rmtree("db"), build_lmdb(EyesConfig(dir="d"), Path("db"))),
    ),
    "a pickle of two values": spoilt(pickled(pair_3=(1, 2))),
    "a pickle of three pictures": spoilt(pickled(image_3=("a", "b", "c"))),
    "a pickle of an object": spoilt(pickled(image_3=(Path("x"), "b"))),
    "a pickle cut short": spoilt(pickled(image_3=b"\x80\x04\x8c\xffcut")),
    "a root that is no page": spoilt(cut("pairs", without_root), "It may be damaged"),
    "no LMDB": Advice(
        lambda: verify_lmdb(Path("d")), AGAIN, lambda: verify_lmdb(Path("new")),
        mend=lambda: enter(BUILD),
    ),
    "a file elsewhere": Advice(
        lambda: open_database(Path("dp/train/imgs", FILE)), "Check the path",
        lambda: open_database(Path("db/train/imgs", FILE)),
    ),
    "an output that exists": Advice(
        "retina build-lmdb d --output db", "Add --overwrite",
        "retina build-lmdb d --output db --overwrite",
    ),
    "an output below a file": Advice(
        "retina build-lmdb d --output d/index.csv/new", "Choose another --output", BUILD
    ),
    "a begun build": Advice(BUILD, "Add --overwrite to begin anew", f"{BUILD} --overwrite", begun),
    "a begun build, elsewhere": Advice(
        BUILD, "or choose another --output", "retina build-lmdb d --output other", begun
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_advice_about_an_lmdb_helps(case, here):
    obey(CASES[case])


def test_the_package_is_absent(here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lmdb", None)
        with pytest.raises(TunewrightError, match=r'pip install "tunewright\[retina\]"'):
            enter(f"{READ}=db")
    assert require_lmdb() is lmdb  # as after the installation
    enter(f"{READ}=db")


@pytest.mark.parametrize("then", [BUILD, "retina build-lmdb d --output other"])
def test_another_process_builds_here(then, here):
    Path(".new.part").mkdir()
    held = os.open(Path(".new.part", lmdb_build.LOCK), os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    wait = then == BUILD
    said = "Wait for it" if wait else "or choose another --output"
    obey(Advice(BUILD, said, then, mend=lambda: os.close(held) if wait else None))
    if not wait:
        os.close(held)


class Refused:
    """An open LMDB that the operating system gives no more memory, or no more disk."""

    def __init__(self, opened: object, full: str, error: Exception) -> None:
        self.opened, self.full, self.error = opened, full, error

    def __getattr__(self, name: str) -> object:
        return getattr(self.opened, name)

    def set_mapsize(self, size: int) -> None:
        if self.full == "memory":
            raise self.error
        self.opened.set_mapsize(size)  # type: ignore[attr-defined]

    def begin(self, *, write: bool = False) -> object:
        if self.full == "disk" and write:
            raise self.error
        return self.opened.begin(write=write)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("full", "error", "said"),
    [
        ("memory", MemoryError("Cannot allocate memory"), "Raise the limit of address space"),
        ("disk", lmdb.DiskError("mdb_put: No space left on device"), "Free space; the same"),
    ],
)
def test_a_build_that_the_system_stops_goes_on(full, error, said, here, monkeypatch):
    def build() -> None:
        build_lmdb(EyesConfig(dir="d"), Path("new"), map_bytes=1 << 14)

    for number in range(20):  # too large for the map that the build begins with
        Image.effect_noise((100, 100), 90).save(f"d/{number}_left.png")
    opened = lmdb.open
    monkeypatch.setattr(
        lmdb, "open", lambda *given, **named: Refused(opened(*given, **named), full, error)
    )
    obey(Advice(build, said, mend=lambda: monkeypatch.setattr(lmdb, "open", opened)))
    enter(BUILT)
