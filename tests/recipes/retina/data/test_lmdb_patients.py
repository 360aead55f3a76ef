"""Patients in LMDBs: built, resumed, read in order, verified; those of other programs."""

import base64
import fcntl
import io
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eye_files import picture, write_patients, write_table
from PIL import Image
from torch.utils.data import DataLoader
from typer.testing import CliRunner

from tunewright.errors import DataError, TunewrightError
from tunewright.images.databases.lmdb_reader import FILE, open_database
from tunewright.images.loading.decode_workers import Decoder
from tunewright.images.loading.square import SquareInput
from tunewright.images.loading.store import build_store, open_store
from tunewright.recipes.retina.commands import app
from tunewright.recipes.retina.config import EyesConfig
from tunewright.recipes.retina.data import lmdb_build, lmdb_verify
from tunewright.recipes.retina.data.datasets import EyeSets, open_eye_sets, open_parts, table_hash
from tunewright.recipes.retina.data.lmdb_build import BuildReport, build_lmdb
from tunewright.recipes.retina.data.lmdb_verify import verify_apart, verify_lmdb
from tunewright.recipes.retina.data.open_eyes import open_eyes
from tunewright.runs.callbacks import OnProgress

lmdb = pytest.importorskip("lmdb")


def build(source: Path, output: Path, **options: Any) -> BuildReport:
    return build_lmdb(EyesConfig(dir=str(source)), output, **options)


def opened(folder: Path) -> EyeSets:
    return open_eye_sets(EyesConfig(dir=str(folder)))


def parts_of(folder: Path) -> dict[str, str]:
    parts = open_parts(EyesConfig(dir=str(folder))).parts
    return {name: table_hash(part) for name, part in parts.items() if len(part)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_patients(tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def built(tmp_path: Path, source: Path) -> Path:
    build(source, tmp_path / "db")
    return tmp_path / "db"


def test_a_build_holds_what_its_source_holds(source: Path, built: Path) -> None:
    assert parts_of(built) == parts_of(source)
    table = open_eyes(built)
    assert (table.classes, table.single, table.per_eye) == (("a", "b"), True, False)
    report = verify_lmdb(built)
    assert not report.problems
    assert sum(split.pictures for split in report.splits.values()) == 48
    assert [f.name for f in sorted(built.iterdir())] == ["test", "train", "valid"]


def test_texts_of_each_eye_several_labels_and_absences(tmp_path: Path) -> None:
    source = tmp_path / "source"
    header = ("patient_id", "left_file", "right_file", "left_text", "right_text", "A", "B", "split")
    rows = []
    for number in range(12):
        names = [f"{number}{side}.png" for side in "lr"]
        write_table(source, [])
        for at, name in enumerate(names):
            (source / name).write_bytes(picture(2 * number + at))
        kind = ("train", "train", "valid", "test")[number % 4]
        texts = ("drusen", "normal") if number else ("", "")
        rows.append((f"p{number}", *names, *texts, str(number % 2), "1", kind))
    rows[1] = (*rows[1][:2], "", *rows[1][3:])
    write_table(source, rows, header)
    build(source, tmp_path / "db")
    assert parts_of(tmp_path / "db") == parts_of(source)
    table, former = open_eyes(tmp_path / "db"), open_eyes(source)
    assert (table.per_eye, table.single) == (former.per_eye, former.single) == (True, False)
    assert table.classes == ("A", "B")
    assert len(table) == 12
    assert (table.eyes < 0).sum() == 1
    assert (table.text_of < 0).sum() == 3


def test_values_are_raw_bytes_and_json(source: Path, built: Path) -> None:
    entry = json.loads(open_database(built / "train" / "pairs" / FILE).require("00000000"))
    assert entry["labels"] in (["a"], ["b"])
    patient = entry["patient_id"]
    found = open_database(built / "train" / "imgs" / FILE).require(entry["left"]["key"])
    assert found == (source / f"{patient}_left.png").read_bytes()


def test_one_split_stands_for_itself_and_train_brings_the_others(built: Path) -> None:
    whole, train = opened(built), opened(built / "train")
    assert train.train.patients == whole.train.patients
    assert train.valid.patients == whole.valid.patients
    assert train.test is not None
    assert any("is the test set" in notice for notice in train.notices)
    assert len(open_eyes(built / "test")) == len(whole.test or ())
    for name in ("valid", "test"):
        shutil.rmtree(built / name)
    alone = opened(built / "train")
    assert alone.test is not None
    assert len(alone.train) + len(alone.valid) + len(alone.test) == len(whole.train)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_killed_build_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmdb_build, "BATCH_BYTES", 1)
    child = os.fork()
    if child == 0:
        build(source, tmp_path / "db", progress=die)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    assert not (tmp_path / "db").exists()
    report = build(source, tmp_path / "db")
    assert report.splits["train"].had == 8
    assert parts_of(tmp_path / "db") == parts_of(source)
    assert not verify_lmdb(tmp_path / "db").problems
    assert [f.name for f in tmp_path.iterdir() if f.name.startswith(".")] == []


def die(name: str) -> OnProgress | None:
    """End the process after the eighth picture of train, without any cleaning up."""
    return (lambda done, _: os._exit(9) if done == 8 else None) if name == "train" else None


def test_a_build_of_other_data_in_between(source: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(source, tmp_path / "db", progress=lambda name: stop if name == "train" else None)
    (source / "p0_left.png").write_bytes(picture(99))
    with pytest.raises(DataError, match=r"begun build of other data.*--overwrite"):
        build(source, tmp_path / "db")
    build(source, tmp_path / "db", overwrite=True)
    assert parts_of(tmp_path / "db") == parts_of(source)


def test_an_output_that_exists(source: Path, built: Path) -> None:
    with pytest.raises(DataError, match="--overwrite"):
        build(source, built)
    before = opened(built)
    write_patients(source, 30)
    build(source, built, overwrite=True)
    assert len(open_eyes(built)) == 30 > len(before.train)
    assert not verify_lmdb(built).problems


def test_two_builders_at_once(source: Path, tmp_path: Path) -> None:
    begun = tmp_path / ".db.part"
    begun.mkdir()
    with (begun / lmdb_build.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process builds"):
            build(source, tmp_path / "db")
    build(source, tmp_path / "db")


def test_the_map_grows_while_building(source: Path, tmp_path: Path) -> None:
    for number in range(24):
        noise = np.random.default_rng(number).integers(0, 255, (90, 90, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / f"p{number}_left.png")
    build(source, tmp_path / "db", map_bytes=1 << 16)
    assert (tmp_path / "db" / "train" / "imgs" / FILE).stat().st_size > 1 << 17
    assert parts_of(tmp_path / "db") == parts_of(source)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_one_process_and_two_workers_see_the_same_order(built: Path, start: str) -> None:
    places = list(open_eyes(built).pictures.places)
    decoder = Decoder(SquareInput(8, "squash"), in_shared_memory=False)
    batches = [places[at : at + 5] for at in range(0, len(places), 5)]
    expected = torch.cat([torch.as_tensor(decoder.__getitems__(batch)) for batch in batches])  # type: ignore[arg-type]
    loader = DataLoader(
        decoder,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=2,
        collate_fn=torch.as_tensor,
        multiprocessing_context=start,
    )
    for _ in range(2):
        assert torch.equal(torch.cat(list(loader)), expected)
    assert not list(built.rglob("lock.mdb"))  # no table of readers, of which an epoch could be left


def test_decoded_pictures_are_in_the_store_of_all_recipes(source: Path, built: Path) -> None:
    stores = [build_store(open_eyes(place).pictures, 16) for place in (source, built)]
    shown = [open_store(store)[store.rows_of] for store in stores]
    named = [
        {patient: images[eyes].tolist() for patient, eyes in zip(t.patients, t.eyes, strict=True)}
        for t, images in zip((open_eyes(source), open_eyes(built)), shown, strict=True)
    ]
    assert named[0] == named[1]
    again = build_store(open_eyes(built).pictures, 16)
    assert not again.built


def test_truncated_and_other_files(built: Path, tmp_path: Path) -> None:
    file = built / "train" / "imgs" / FILE
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match="is truncated"):
        opened(built)
    problems = verify_lmdb(built).problems
    assert len(problems) == 1
    assert problems[0].startswith("train: ")
    file.unlink()
    with pytest.raises(DataError, match="imgs and pairs beside it"):
        opened(built)
    with pytest.raises(DataError, match="holds no LMDB"):
        verify_lmdb(tmp_path / "source")


def test_a_key_is_missing_or_changed(built: Path) -> None:
    change(built / "train" / "imgs", {b"00000001": b"not a picture", b"00000002": None})
    with pytest.raises(DataError, match=r"lacks 1 keys \('00000002', the .* eye of p\d+\)"):
        opened(built)
    assert "lacks 1 keys" in verify_lmdb(built).problems[0]
    change(built / "train" / "imgs", {b"00000002": b"neither"})
    problems = verify_lmdb(built).problems
    assert len(problems) == 2
    assert all("its bytes are not those that were written" in problem for problem in problems)
    change(built / "train" / "pairs", {b"00000003": b"{"})
    with pytest.raises(DataError, match=r"'00000003' of .* is not JSON"):
        opened(built)
    change(built / "train" / "pairs", {b"00000003": b'{"patient_id": "x"}'})
    with pytest.raises(DataError, match="as build-lmdb writes it"):
        opened(built)
    change(built / "train" / "pairs", {b"00000003": None})
    with pytest.raises(DataError, match="has 15 of 16 patients"):
        opened(built)


def test_damaged_pages_are_a_problem(built: Path) -> None:
    file = built / "train" / "imgs" / FILE
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[: 2 * 4096] + bytes([255]) * (len(whole) - 2 * 4096))
    [problem] = verify_apart(built).problems
    assert problem.startswith(("train: ", "the process that read it ended"))


def test_a_process_that_dies_is_a_problem() -> None:
    assert "ended with SIGBUS: its pages are damaged" in lmdb_verify._describe_death(-7)


def change(folder: Path, values: dict[bytes, bytes | None]) -> None:
    """Write values into an LMDB, as another program would; it is another file then."""
    content = (folder / FILE).read_bytes()
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / FILE).write_bytes(content)
    environment = lmdb.open(str(folder), map_size=1 << 24, lock=False)
    with environment.begin(write=True) as writing:
        for key, value in values.items():
            if value is None:
                writing.delete(key)
            else:
                writing.put(key, value)
    environment.close()


def write_pickled(
    folder: Path, patients: int = 12, *, first: int = 0, images: dict[str, object] | None = None
) -> None:
    """Write a split as RET-CLIP does: pickled tuples, pictures in URL-safe base64."""
    eyes: dict[str, object] = {
        f"{first + n}": tuple(
            base64.urlsafe_b64encode(picture(2 * (first + n) + side)).decode() for side in (0, 1)
        )
        for n in range(patients)
    }
    eyes |= images or {}
    for part in ("imgs", "pairs"):
        (folder / part).mkdir(parents=True)
    environment = lmdb.open(str(folder / "imgs"), map_size=1 << 24)
    with environment.begin(write=True) as writing:
        for key, value in eyes.items():
            raw = value if isinstance(value, bytes) else pickle.dumps(value)
            writing.put(key.encode(), raw)
        writing.put(b"num_images", str(len(eyes)).encode())
    environment.close()
    environment = lmdb.open(str(folder / "pairs"), map_size=1 << 24)
    with environment.begin(write=True) as writing:
        for number, key in enumerate(eyes):
            value = (int(key) if key.isdecimal() else key, number, f"report {key}")
            writing.put(str(number).encode(), pickle.dumps(value))
        writing.put(b"num_samples", str(len(eyes)).encode())
    environment.close()


def test_pickled_tuples_of_the_original_program(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "valid", "test")):
        write_pickled(tmp_path / "db" / name, 12, first=100 * number)
    table = open_eyes(tmp_path / "db")
    assert table.patients == tuple(
        str(100 * split + n) for split in range(3) for n in range(12)
    )  # in the order of the pairs, not of the keys
    assert table.splits == ("train",) * 12 + ("valid",) * 12 + ("test",) * 12
    assert table.texts[1] == "report 1"
    sets = opened(tmp_path / "db" / "train")
    assert len(sets.train) == len(sets.valid) == len(sets.test or ()) == 12
    store = build_store(table.pictures, 24)
    images = open_store(store)[store.rows_of]
    expected = np.asarray(Image.open(io.BytesIO(picture(7)))).transpose(2, 0, 1)
    assert (images[table.eyes[3, 1]] == expected).all()
    report = verify_lmdb(tmp_path / "db")
    assert report.splits["train"].pickled
    assert not report.problems
    build(tmp_path / "db", tmp_path / "ours")
    assert parts_of(tmp_path / "ours") == parts_of(tmp_path / "db")


def test_labels_beside_a_pickled_lmdb(tmp_path: Path) -> None:
    write_pickled(tmp_path / "db" / "train")
    lines = [f"{n},{'ab'[n % 2]}" for n in range(12)]
    (tmp_path / "db" / "labels.csv").write_text("\n".join(["patient_id,label", *lines]))
    assert open_eyes(tmp_path / "db").counts.tolist() == [6, 6]


def test_one_eye_and_one_picture_for_both(tmp_path: Path) -> None:
    one = base64.urlsafe_b64encode(picture(200))
    write_pickled(tmp_path / "db" / "train", images={"x": (one, None), "y": one})
    table = open_eyes(tmp_path / "db")
    x, y = (table.patients.index(name) for name in "xy")
    assert (table.eyes[[x, y]] < 0).tolist() == [[False, True], [False, False]]
    assert not verify_lmdb(tmp_path / "db").problems


class Hostile:
    """Leaves a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.place,))


def test_a_hostile_object_in_a_pickled_lmdb_runs_nothing(tmp_path: Path) -> None:
    write_pickled(tmp_path / "db" / "train", images={"evil": (Hostile(tmp_path / "harm"), "x")})
    for read in (lambda: opened(tmp_path / "db"), lambda: build(tmp_path / "db", tmp_path / "o")):
        with pytest.raises(DataError) as refused:
            read()
        assert "key 'evil'" in str(refused.value)
        assert "tunewright retina build-lmdb" in str(refused.value)
    assert "'evil'" in verify_lmdb(tmp_path / "db").problems[0]
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        ({"z": ("left", "right", "third")}, "tuple of 3"),
        ({"z": (1, 2)}, "pictures in base64"),
        ({"z": b"\x80\x04\x8c\xffcut"}, "damaged pickle"),
    ],
)
def test_wrong_values_of_a_pickled_lmdb(
    tmp_path: Path, images: dict[str, object], problem: str
) -> None:
    write_pickled(tmp_path / "db" / "train", images=images)
    with pytest.raises(DataError, match=problem) as refused:
        opened(tmp_path / "db")
    assert "key 'z'" in str(refused.value)


def test_a_picture_that_is_not_base64(tmp_path: Path) -> None:
    write_pickled(tmp_path / "db" / "train", images={"z": ("%%%", "%%")})
    problems = verify_lmdb(tmp_path / "db").problems
    assert len(problems) == 2
    assert "is not base64" in problems[0]


def test_a_pickled_lmdb_that_lacks_keys(tmp_path: Path) -> None:
    write_pickled(tmp_path / "db" / "train")
    change(tmp_path / "db" / "train" / "imgs", {b"5": None})
    with pytest.raises(DataError, match="has no key '5'"):
        opened(tmp_path / "db")
    change(tmp_path / "db" / "train" / "pairs", {b"num_samples": None})
    with pytest.raises(DataError, match="has no key 'num_samples'"):
        opened(tmp_path / "db")


def test_an_empty_lmdb(tmp_path: Path) -> None:
    for part in ("imgs", "pairs"):
        (tmp_path / "db" / part).mkdir(parents=True)
        lmdb.open(str(tmp_path / "db" / part), map_size=1 << 20).close()
    with pytest.raises(DataError, match="has no key 'num_samples'"):
        opened(tmp_path / "db")
    write_pickled(tmp_path / "none", 0)
    with pytest.raises(DataError, match="lists no patients"):
        opened(tmp_path / "none")


def test_the_commands(source: Path, tmp_path: Path) -> None:
    words = ["build-lmdb", str(source), "--output", str(tmp_path / "db"), "--test-split", "0.25"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "next: tunewright train retina data.dir=" in result.output
    assert "train" in result.output
    result = CliRunner().invoke(app, ["verify-lmdb", str(tmp_path / "db")])
    assert (result.exit_code, "no problems" in result.output) == (0, True)
    change(tmp_path / "db" / "train" / "imgs", {b"00000002": b"changed"})
    result = CliRunner().invoke(app, ["verify-lmdb", str(tmp_path / "db")])
    assert result.exit_code == 1
    assert "problem: train: " in result.output
    result = CliRunner().invoke(app, [*words[:-2], "--val-split", "1"])
    assert isinstance(result.exception, TunewrightError)
