"""Sets of pairs on disk: every format, and every way in which a folder is wrong."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tunewright.errors import DataError
from tunewright.recipes.pairs.data.array_files import describe, read_rows, row_peaks
from tunewright.recipes.pairs.data.pair_checks import check_leaks, check_pairs, integer_ids
from tunewright.recipes.pairs.data.pair_files import (
    new_pairs,
    open_pairs,
    save_pairs,
)

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def matrix(rows=12, width=6, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def save_set(folder, name, rows=12, ids=None, images=None, **metadata):
    images = matrix(rows, seed=len(name)) if images is None else images
    ids = list(range(rows)) if ids is None else ids
    save_pairs(folder, name, images, matrix(rows, 4, seed=9), {"image_ids": ids, **metadata})
    return open_pairs(folder, name)


def write(path, tensor):
    if path.suffix == ".npy":
        np.save(path, tensor.numpy())
    elif path.suffix == ".pt":
        torch.save(tensor, path)
    else:
        save_file({"embeddings": tensor}, path)


class TestFormats:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
    def test_rows_are_what_was_saved(self, tmp_path, suffix, dtype):
        if (suffix, dtype) == (".npy", torch.bfloat16):
            pytest.skip("numpy's format cannot name bfloat16")
        saved = torch.from_numpy(matrix()).to(dtype)
        write(tmp_path / f"x{suffix}", saved)
        file = describe(tmp_path / f"x{suffix}")
        assert (file.dtype, file.shape) == (str(dtype).removeprefix("torch."), (12, 6))
        rows = torch.from_numpy(np.array(read_rows(file)))
        assert torch.equal(rows.view(dtype) if dtype == torch.bfloat16 else rows, saved)

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    @pytest.mark.parametrize("wrap", ["parameter", "entry", "only", "slice"])
    def test_pt_variants(self, tmp_path, protocol, wrap):
        tensor = torch.from_numpy(matrix())
        other = torch.zeros(3)
        value = {
            "parameter": torch.nn.Parameter(tensor),
            "entry": {"embeddings": tensor, "other": other, "note": ["a", 1, 2.5, None]},
            "only": {"whatever": tensor},
            "slice": tensor[2:7],
        }[wrap]
        torch.save(value, tmp_path / "x.pt", pickle_protocol=protocol)
        expected = matrix()[2:7] if wrap == "slice" else matrix()
        assert np.array_equal(read_rows(describe(tmp_path / "x.pt")), expected)

    @pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
    @pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
    def test_a_truncated_file_is_named(self, tmp_path, suffix, share):
        path = tmp_path / f"x{suffix}"
        write(path, torch.from_numpy(matrix(200)))
        os.truncate(path, int(path.stat().st_size * share))
        with pytest.raises(DataError, match=rf"x\{suffix}"):
            describe(path)

    @pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
    @pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.int32])
    def test_other_dtypes_are_refused(self, tmp_path, suffix, dtype):
        write(tmp_path / f"x{suffix}", torch.from_numpy(matrix()).to(dtype))
        with pytest.raises(DataError, match="expected float32, float16 or bfloat16"):
            describe(tmp_path / f"x{suffix}")

    @pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
    @pytest.mark.parametrize("shape", [(12,), (3, 2, 2), (0, 4)])
    def test_other_ranks_are_refused(self, tmp_path, suffix, shape):
        write(tmp_path / f"x{suffix}", torch.zeros(shape))
        with pytest.raises(DataError, match="shape"):
            describe(tmp_path / f"x{suffix}")

    def test_columns_first_is_refused(self, tmp_path):
        np.save(tmp_path / "x.npy", np.asfortranarray(matrix()))
        torch.save(torch.from_numpy(matrix()).T, tmp_path / "x.pt")
        with pytest.raises(DataError, match="column by column"):
            describe(tmp_path / "x.npy")
        with pytest.raises(DataError, match="transposed"):
            describe(tmp_path / "x.pt")

    @pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
    def test_foreign_content(self, tmp_path, suffix):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(b"<!DOCTYPE html><html>404</html>" * 10)
        with pytest.raises(DataError, match=rf"x\{suffix}"):
            describe(path)

    def test_old_torch_format(self, tmp_path):
        path = tmp_path / "x.pt"
        torch.save(torch.zeros(2, 2), path, _use_new_zipfile_serialization=False)
        with pytest.raises(DataError, match=r"before 1\.6"):
            describe(path)

    def test_a_module_is_no_matrix(self, tmp_path):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt")
        with pytest.raises(DataError, match="not executed"):
            describe(tmp_path / "x.pt")

    def test_a_hostile_pickle_is_not_run(self, tmp_path):
        proof = tmp_path / "ran"

        class Bomb:
            def __reduce__(self):
                return os.mkdir, (str(proof),)

        torch.save({"embeddings": torch.zeros(2, 2), "bomb": Bomb()}, tmp_path / "x.pt")
        with pytest.raises(DataError, match="mkdir, which is not executed"):
            describe(tmp_path / "x.pt")
        (tmp_path / "y.pt").write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(DataError, match="bare pickle"):
            describe(tmp_path / "y.pt")
        assert not proof.exists()

    @pytest.mark.parametrize(
        ("pickled", "match"),
        [
            (b"\x80\x02r\xff\xff\xff\x7f.", "broken pickle"),  # a memo of 2**31 values
            (b"\x80\x04\x95" + b"\xff" * 8 + b"N.", "broken pickle"),  # a frame without end
            (b"\x80\x02}N" + b"\x85" * 5_000_000 + b"Ns.", "50,000 tuples"),  # one in the other
            (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ, which is not"),
            (b"\x80\x02c_io\nopen\nX\x01\x00\x00\x00x\x85R.", "call of _io.open, which is not"),
        ],
    )
    def test_a_crafted_pickle_is_described_or_refused(self, tmp_path, pickled, match):
        with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
            archive.writestr("x/data.pkl", pickled)
        with pytest.raises(DataError, match=match):
            describe(tmp_path / "x.pt")

    @pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
    @pytest.mark.parametrize("at", [150, 700, None])
    @pytest.mark.parametrize("extra", [b"\x11" * 4, b"\x11" * 24, b"\0" * 192])
    def test_inserted_bytes_shift_no_number(self, tmp_path, suffix, at, extra):
        path = tmp_path / f"x{suffix}"
        write(path, torch.from_numpy(matrix(40)))
        content = path.read_bytes()
        at = len(content) if at is None else at
        path.write_bytes(content[:at] + extra + content[at:])
        with pytest.raises(DataError, match=rf"x\{suffix}"):
            describe(path)

    @pytest.mark.parametrize("at", [80, 300, 900, 1500])
    def test_bytes_inserted_into_a_pt(self, tmp_path, at):
        path = tmp_path / "x.pt"
        write(path, torch.from_numpy(matrix(40)))
        content = path.read_bytes()
        path.write_bytes(content[:at] + b"\x11" * 4 + content[at:])
        with pytest.raises(DataError, match=r"x\.pt is damaged"):
            describe(path)

    def repacked(self, path, change):
        """The archive with the numbers of its tensor changed, whole in every other way."""
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, change(content) if "/data/" in name else content)

    @pytest.mark.parametrize(
        "change",
        [
            lambda numbers: numbers * 2,
            lambda numbers: numbers[:400] + b"\x11" * 4 + numbers[400:],
            lambda numbers: b"\0" * 24 + numbers,
            lambda numbers: numbers[:-24],
        ],
    )
    @pytest.mark.parametrize("rows", [slice(None), slice(2, 9)])
    def test_a_record_of_another_length_than_its_storage(self, tmp_path, change, rows):
        """As torch.load refuses it; a slice has the storage of the whole."""
        path = tmp_path / "x.pt"
        torch.save(torch.from_numpy(matrix(40))[rows], path)
        self.repacked(path, lambda numbers: numbers)
        assert np.array_equal(read_rows(describe(path)), matrix(40)[rows])
        self.repacked(path, change)
        with pytest.raises(DataError, match=r"x\.pt .* bytes of numbers"):
            describe(path)

    def test_a_second_array_in_a_npy(self, tmp_path):
        with (tmp_path / "x.npy").open("wb") as file:
            np.save(file, matrix())
            np.save(file, matrix())
        with pytest.raises(DataError, match=r"x\.npy has 416 bytes after its matrix"):
            describe(tmp_path / "x.npy")

    def test_a_shape_beyond_the_storage(self, tmp_path):
        """A crafted description must not reach the bytes of its neighbours."""
        torch.save(torch.zeros(2, 3), tmp_path / "x.pt")
        with zipfile.ZipFile(tmp_path / "x.pt") as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        shape, longer = b"K\x02K\x03\x86", b"K\x09K\x03\x86"
        assert entries["x/data.pkl"].count(shape) == 1
        entries["x/data.pkl"] = entries["x/data.pkl"].replace(shape, longer)
        with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
            for name, content in entries.items():
                archive.writestr(name, content)
        with pytest.raises(DataError, match="describes 108 bytes of numbers and holds 24"):
            describe(tmp_path / "x.pt")

    def test_safetensors_of_several(self, tmp_path):
        save_file({"a": torch.zeros(2, 2), "b": torch.zeros(2, 2)}, tmp_path / "x.safetensors")
        with pytest.raises(DataError, match="'a', 'b'"):
            describe(tmp_path / "x.safetensors")

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_bad_rows_in_every_dtype(self, tmp_path, dtype):
        tensor = torch.from_numpy(matrix()).to(dtype)
        tensor[2, 1], tensor[5, 0], tensor[7] = torch.nan, -torch.inf, -0.0
        write(tmp_path / "x.pt", tensor)
        broken, zero = row_peaks(describe(tmp_path / "x.pt"))
        assert np.flatnonzero(broken).tolist() == [2, 5]
        assert np.flatnonzero(zero).tolist() == [7]


class TestOpening:
    def test_round_trip(self, tmp_path):
        pairs = save_set(tmp_path, "train", texts=["a"] * 12)
        assert (pairs.rows, pairs.images.width, pairs.texts.width) == (12, 6, 4)
        assert pairs.ids.dtype == np.int64
        assert pairs.metadata["texts"] == ["a"] * 12
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "train_image_embeddings.npy",
            "train_metadata.json",
            "train_text_embeddings.npy",
        ]

    def test_missing_set_suggests(self, tmp_path):
        save_set(tmp_path, "train")
        with pytest.raises(DataError, match="Did you mean 'train'"):
            open_pairs(tmp_path, "trian")
        with pytest.raises(DataError, match="tunewright pairs split"):
            open_pairs(tmp_path, "train_tuning")
        with pytest.raises(DataError, match=r"data\.dir"):
            open_pairs(tmp_path / "nowhere", "train")

    def test_two_formats_of_one_matrix(self, tmp_path):
        save_set(tmp_path, "train")
        torch.save(torch.from_numpy(matrix()), tmp_path / "train_image_embeddings.pt")
        with pytest.raises(DataError, match="expected one of them"):
            open_pairs(tmp_path, "train")

    def test_metadata_of_the_year_is_found(self, tmp_path):
        save_set(tmp_path, "val")
        (tmp_path / "val_metadata.json").rename(tmp_path / "val2017_metadata.json")
        assert open_pairs(tmp_path, "val").rows == 12
        assert open_pairs(tmp_path, "val", "val2017_metadata.json").rows == 12

    def test_metadata_of_the_subset_is_not_taken(self, tmp_path):
        save_set(tmp_path, "train")
        (tmp_path / "train_metadata.json").rename(tmp_path / "train_tuning_metadata.json")
        with pytest.raises(DataError, match="Row numbers cannot replace them"):
            open_pairs(tmp_path, "train")

    def test_counts_differ(self, tmp_path):
        save_set(tmp_path, "train")
        (tmp_path / "train_metadata.json").write_text('{"image_ids": [1, 2]}')
        with pytest.raises(DataError, match="12 image rows, 12 text rows and 2 image_ids"):
            open_pairs(tmp_path, "train")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "not JSON"),
            ('{"image_ids": [1],\n"texts": [NaN]}', "not JSON .NaN .*line 2.*null"),
            ("[]", "lacks image_ids"),
            ('{"total_pairs": 12}', "lacks image_ids"),
            (json.dumps({"image_ids": [1] * 11 + ["a"]}), "int, str"),
            (json.dumps({"image_ids": [1.5] * 12}), "float"),
            (json.dumps({"image_ids": 12}), "no list"),
            (json.dumps({"image_ids": [2**63] * 12}), "64 bits"),
            (json.dumps({"image_ids": [1] * 12, "texts": ["a"]}), "'texts'"),
        ],
    )
    def test_broken_metadata(self, tmp_path, content, message):
        save_set(tmp_path, "train")
        (tmp_path / "train_metadata.json").write_text(content)
        with pytest.raises(DataError, match=message):
            open_pairs(tmp_path, "train")

    def test_an_interrupted_save_leaves_nothing(self, tmp_path):
        shape = ("float32", (12, 6))
        with (
            pytest.raises(KeyboardInterrupt),
            new_pairs(tmp_path, "train", {"image_ids": list(range(12))}, shape, shape),
        ):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_saving_beside_another_format(self, tmp_path):
        torch.save(torch.from_numpy(matrix()), tmp_path / "train_image_embeddings.pt")
        with pytest.raises(DataError, match="in the way"):
            save_set(tmp_path, "train")


class TestChecks:
    def test_bad_rows_are_counted_in_both(self, tmp_path):
        images = matrix()
        images[[3, 8]] = np.nan
        images[5] = 0
        pairs = save_set(tmp_path, "train", images=images)
        with pytest.raises(DataError, match=r"2 NaN or infinite rows \(rows 3, 8\).*1 all-zero"):
            check_pairs(pairs)
        check_pairs(save_set(tmp_path, "val"))

    def test_text_ids_are_numbered_together(self, tmp_path):
        train = save_set(tmp_path, "train", 3, ids=["b", "a", "b"])
        val = save_set(tmp_path, "val", 2, ids=["c", "a"])
        first, second = integer_ids(train, val)
        assert first.dtype == second.dtype == np.int64
        assert first[0] == first[2] != first[1] == second[1]
        assert second[0] not in first
        with pytest.raises(DataError, match="train: text, val: integers"):
            integer_ids(train, save_set(tmp_path, "val", 2))

    def test_leak_by_id(self, tmp_path):
        train = save_set(tmp_path, "train", ids=list(range(12)))
        val = save_set(tmp_path, "val", ids=list(range(10, 22)))
        with pytest.raises(DataError, match=r"2 of 12 rows of 'val'.*image ids 10, 11"):
            check_leaks(train, [val])

    def test_leak_by_embedding(self, tmp_path):
        train = save_set(tmp_path, "train", ids=list(range(12)))
        images = matrix(12, seed=77)
        images[4] = read_rows(train.images)[2]
        val = save_set(tmp_path, "val", ids=list(range(20, 32)), images=images)
        with pytest.raises(DataError, match="0 by id, 1 by equal embedding; image ids 24"):
            check_leaks(train, [val])
        check_leaks(train, [save_set(tmp_path, "test", ids=list(range(20, 32)))])
