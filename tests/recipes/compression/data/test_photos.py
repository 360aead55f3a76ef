"""Photographs of a folder: found, split, measured, decoded once, whatever they are like."""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tunewright.errors import DataError, NotWritten
from tunewright.images.sources.reader import PictureReader
from tunewright.recipes.compression.config import PhotosConfig
from tunewright.recipes.compression.data import photo_store as module
from tunewright.recipes.compression.data.crops import ResidentPhotos
from tunewright.recipes.compression.data.photo_sizes import photo_sizes
from tunewright.recipes.compression.data.photo_store import build_photo_store, choose
from tunewright.recipes.compression.data.photos import (
    facts,
    fingerprints,
    open_photos,
    size_notices,
)

EXIF_TURNED = 6


def photo(number: int, width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def folder_of(place: Path, count: int, start: int = 0) -> Path:
    """Photographs of as many sizes, the odd ones in a folder below."""
    (place / "below").mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        inside = place / "below" if number % 2 else place
        photo(number, 20 + number, 30 - number % 7).save(inside / f"{number}.png")
    return place


def ids(table) -> set[str]:
    return set(table.ids)


@pytest.fixture
def place(tmp_path):
    return folder_of(tmp_path / "photos", 10)


class TestFound:
    def test_in_the_folder_and_below(self, place):
        (place / "notes.txt").write_text("no photograph")
        photos = open_photos(PhotosConfig(dir=str(place), val_split=0.2))
        assert len(photos.train) == 8
        assert len(photos.valid) == 2
        assert "below/3.png" in ids(photos.train) | ids(photos.valid)
        assert photos.notices == ()

    @pytest.mark.parametrize("tops", [("train", "valid"), ("DIV_train_HR", "DIV_valid_HR")])
    def test_folders_that_are_splits_are_told(self, tmp_path, tops):
        for start, top in enumerate(tops):
            folder_of(tmp_path / top, 4, 10 * start)
        photos = open_photos(PhotosConfig(dir=str(tmp_path)))
        assert len(photos.train) + len(photos.valid) == 8
        assert "look like splits, and are used as one set" in photos.notices[0]
        apart = open_photos(
            PhotosConfig(dir=str(tmp_path / tops[0]), valid_dir=str(tmp_path / tops[1]))
        )
        assert (len(apart.train), len(apart.valid), apart.notices) == (4, 4, ())

    def test_the_split_follows_its_seed_alone(self, place):
        one, again, other = (
            ids(open_photos(PhotosConfig(dir=str(place), val_split=0.3, split_seed=seed)).valid)
            for seed in (1, 1, 2)
        )
        assert one == again
        assert one != other

    def test_copies_stay_on_one_side(self, place):
        for number in (0, 2, 4, 6, 8):
            (place / f"copy-{number}.png").write_bytes((place / f"{number}.png").read_bytes())
        photos = open_photos(PhotosConfig(dir=str(place), val_split=0.4))
        for number in (0, 2, 4, 6, 8):
            pair = {f"copy-{number}.png", f"{number}.png"}
            assert pair <= ids(photos.train) or pair <= ids(photos.valid)
        assert any("5 pictures are copies of others" in notice for notice in photos.notices)

    def test_a_folder_to_validate_on(self, place, tmp_path):
        theirs = folder_of(tmp_path / "valid", 3, start=20)
        (theirs / "again.png").write_bytes((place / "4.png").read_bytes())
        photos = open_photos(PhotosConfig(dir=str(place), valid_dir=str(theirs)))
        assert len(photos.valid) == 4
        every = open_photos(PhotosConfig(dir=str(place)))
        assert ids(photos.train) == (ids(every.train) | ids(every.valid)) - {"4.png"}
        assert "1 photographs" in photos.notices[0]
        assert "4.png" in photos.notices[0]

    def test_a_zip(self, place, tmp_path):
        file = tmp_path / "photos.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for picture in place.rglob("*.png"):
                archive.write(picture, picture.relative_to(place))
        photos = open_photos(PhotosConfig(dir=str(file)))
        assert len(photos.train) == 9
        assert photo_sizes(photos.train).min() >= 20

    def test_none_or_too_few(self, tmp_path):
        with pytest.raises(DataError, match="cannot be opened"):
            open_photos(PhotosConfig(dir=str(tmp_path / "nowhere")))
        with pytest.raises(DataError, match="holds no photographs"):
            open_photos(PhotosConfig(dir=str(tmp_path)))
        photo(0, 20, 20).save(tmp_path / "only.png")
        with pytest.raises(DataError, match=r"1 photographs to train .* 0 to validate"):
            open_photos(PhotosConfig(dir=str(tmp_path)))

    def test_facts_and_fingerprints(self, place):
        data = PhotosConfig(dir=str(place), val_split=0.2, crops_per_photo=3)
        found = facts(data)
        assert (found["rows"], found["photos"], found["valid_photos"]) == (24, 8, 2)
        assert 20 <= found["side"] <= 30
        before = fingerprints(data)
        photo(99, 25, 25).save(place / "0.png")
        assert fingerprints(data) != before

    def test_small_ones_are_told(self, place):
        data = PhotosConfig(dir=str(place), val_split=0.2, crop=24)
        notices = size_notices(data, open_photos(data))
        assert any("are mirrored at their edges" in notice for notice in notices)
        data = PhotosConfig(dir=str(place), val_split=0.2, crop=20)
        assert size_notices(data, open_photos(data)) == []

    def test_the_embedded_ones_share_no_pixel(self):
        photos = open_photos(PhotosConfig())
        assert (len(photos.train), len(photos.valid)) == (2, 6)
        assert photo_sizes(photos.train).tolist() == [[480, 427]] * 2
        assert photo_sizes(photos.valid).min() >= 128
        assert "scikit-learn" in photos.notices[0]


class TestStore:
    def test_pixels_of_every_kind(self, tmp_path):
        place = tmp_path / "photos"
        place.mkdir()
        for mode, name in (("L", "grey.png"), ("P", "palette.png"), ("CMYK", "cmyk.jpg")):
            photo(1, 17, 13, mode).save(place / name)
        photo(2, 11, 19, "RGBA").save(place / "alpha.png")
        exif = Image.Exif()
        exif[0x0112] = EXIF_TURNED
        photo(3, 30, 20).save(place / "turned.jpg", exif=exif)
        table = open_photos(PhotosConfig(dir=str(place))).train
        store = build_photo_store(table.whole, folder=tmp_path / "cache")
        found, reader = ResidentPhotos(store), PictureReader()
        assert len(found) == 5
        for row, where in enumerate(table.whole.places):
            wanted = np.asarray(reader.picture(where)).transpose(2, 0, 1)
            assert np.array_equal(found[row], wanted)
        turned = table.whole.ids.index("turned.jpg")
        assert found[turned].shape == (3, 30, 20)
        with pytest.raises(ValueError, match="read-only"):
            found[0][0, 0, 0] = 1

    def test_made_once_for_all_parts(self, place, tmp_path):
        photos = open_photos(PhotosConfig(dir=str(place), val_split=0.3))
        first = build_photo_store(photos.train, folder=tmp_path)
        second = build_photo_store(
            photos.valid, folder=tmp_path, progress=lambda *_: pytest.fail("decoded again")
        )
        assert (first.built, second.built) == (True, False)
        assert first.file == second.file
        reader, found = PictureReader(), ResidentPhotos(second)
        for row, where in enumerate(photos.valid.places):
            wanted = np.asarray(reader.picture(where)).transpose(2, 0, 1)
            assert np.array_equal(found[row], wanted)

    def test_of_several_that_ask_at_once_one_makes_it(self, place, tmp_path):
        table = open_photos(PhotosConfig(dir=str(place))).train
        with ThreadPoolExecutor(4) as pool:
            made = [pool.submit(build_photo_store, table, folder=tmp_path) for _ in range(4)]
        assert sorted(one.result().built for one in made) == [False, False, False, True]

    def test_a_part_of_a_file_is_no_store(self, place, tmp_path):
        table = open_photos(PhotosConfig(dir=str(place))).train
        store = build_photo_store(table, folder=tmp_path)
        store.file.write_bytes(store.file.read_bytes()[:-1])
        assert build_photo_store(table, folder=tmp_path).built
        store.file.with_suffix(".json").unlink()
        assert build_photo_store(table, folder=tmp_path).built
        assert list(tmp_path.rglob("*.part")) == []

    def test_a_full_disk(self, place, tmp_path, monkeypatch):
        table = open_photos(PhotosConfig(dir=str(place))).train
        monkeypatch.setattr("tunewright.images.loading.shared_file.SPARE_BYTES", 1 << 62)
        with pytest.raises(NotWritten, match=r"data\.store=stream"):
            build_photo_store(table, folder=tmp_path)

    def test_progress(self, place, tmp_path):
        seen = []
        table = open_photos(PhotosConfig(dir=str(place))).train
        build_photo_store(table, folder=tmp_path, progress=lambda *at: seen.append(at))
        assert seen == [(done, 10) for done in range(1, 11)]


class TestBroken:
    def test_are_named(self, place, tmp_path):
        (place / "2.png").write_bytes(b"")
        table = open_photos(PhotosConfig(dir=str(place))).train
        with pytest.raises(DataError, match=r"1 of 10 pictures .*2\.png is empty.*skip_bad=true"):
            build_photo_store(table, folder=tmp_path / "cache")

    def test_are_left_out_if_asked(self, place, tmp_path):
        (place / "2.png").write_bytes((place / "2.png").read_bytes()[:99])
        photos = open_photos(PhotosConfig(dir=str(place), val_split=0.3, skip_bad=True))
        assert "2.png" not in ids(photos.train) | ids(photos.valid)
        assert "2.png" in photos.notices[0]
        for part in (photos.train, photos.valid):
            store = build_photo_store(part, folder=tmp_path / "cache")
            assert (store.at[:, 1] > 0).all()
        reader, found = PictureReader(), ResidentPhotos(store)
        wanted = np.asarray(reader.picture(photos.valid.places[-1])).transpose(2, 0, 1)
        assert np.array_equal(found[len(photos.valid) - 1], wanted)

    def test_16_bits_are_refused_and_have_a_size(self, place):
        deep = Image.fromarray(np.zeros((30, 40), dtype=np.uint16))
        content = io.BytesIO()
        deep.save(content, "PNG")
        (place / "deep.png").write_bytes(content.getvalue())
        photos = open_photos(PhotosConfig(dir=str(place)))
        with pytest.raises(DataError, match="8 bits a channel"):
            build_photo_store(photos.train)


class TestChoice:
    def test_resident_where_there_is_room(self, place):
        photos = open_photos(PhotosConfig(dir=str(place)))
        found = choose([photos.train, photos.valid])
        assert found.store == "resident"
        assert found.why.startswith("10 photographs take ")
        assert choose([photos.train], "stream").store == "stream"

    def test_streamed_where_there_is_none(self, place, monkeypatch):
        photos = open_photos(PhotosConfig(dir=str(place)))
        monkeypatch.setattr(module, "free_mib", lambda: 0.001)
        found = choose([photos.train, photos.valid])
        assert found.store == "stream"
        assert "more than 50% of the 1.0 KB of free RAM" in found.why
