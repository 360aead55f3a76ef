"""From pictures and a table to a set of pairs, and every way in which that input is wrong."""

import csv
import io
import sys
import threading
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tunewright.errors import ConfigError, DataError
from tunewright.images.sources.decode import PictureSource
from tunewright.recipes.pairs.commands import app
from tunewright.recipes.pairs.data.array_files import read_rows
from tunewright.recipes.pairs.data.batches import open_tensor
from tunewright.recipes.pairs.data.pair_checks import check_pairs, integer_ids
from tunewright.recipes.pairs.data.pair_files import open_pairs
from tunewright.recipes.pairs.data.split import SplitRule, split_pairs
from tunewright.recipes.pairs.encoders.embed import Encoders, embed_folder
from tunewright.recipes.pairs.encoders.pair_table import PairTable

COLOURS = {
    "red": (220, 30, 30),
    "green": (20, 160, 40),
    "blue": (30, 40, 200),
    "NA": (128, 128, 128),
}
FASHION = Path(__file__).parents[5] / "shared" / "data" / "fashion_pairs"


def picture(number):
    """A coloured field with a bar whose direction and place depend on the number."""
    colour = list(COLOURS.values())[number % 4]
    pixels = np.full((40, 30, 3), 255, dtype=np.uint8)
    place = 4 + number % 20
    if number % 3 == 0:
        pixels[place : place + 6] = colour
    else:
        pixels[:, place : place + 6] = colour
    pixels[0, 0] = number % 256, number // 256, 0
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path):
    """24 PNG files and a table that describes them."""
    rows = []
    for number in range(24):
        picture(number).save(tmp_path / f"{number}.png")
        bar = "lying" if number % 3 == 0 else "standing"
        rows.append({"file": f"{number}.png", "text": f"{list(COLOURS)[number % 4]} {bar} bar"})
    write_table(tmp_path, rows)
    return tmp_path


def write_table(folder, rows, encoding="utf-8"):
    with (folder / "index.csv").open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_table(folder):
    with (folder / "index.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def embed(folder, **options):
    how = {name: options.pop(name) for name in ("overwrite", "progress") if name in options}
    columns = {name: options.pop(name) for name in PairTable.__annotations__ if name in options}
    table = PairTable(folder, folder / "index.csv", **columns)
    encoders = {name.removesuffix("_encoder"): value for name, value in options.items()}
    return embed_folder(table, folder / "out", "all", Encoders(**encoders), **how)


class TestEmbedding:
    def test_a_set_of_unit_rows(self, folder):
        seen = []
        report = embed(folder, progress=lambda done, total: seen.append((done, total)))
        pairs = open_pairs(folder / "out", "all")
        check_pairs(pairs)
        assert (report.rows, report.images, report.skipped) == (24, 24, ())
        assert seen[-1] == (24, 24)
        for file in (pairs.images, pairs.texts):
            assert np.allclose(np.linalg.norm(read_rows(file), axis=1), 1, atol=1e-5)
        assert pairs.metadata["texts"][3] == "NA lying bar"
        root = pairs.folder / pairs.metadata["image_root"]
        assert (root / pairs.metadata["image_files"][3]).is_file()

    def test_zip_and_byte_order_mark(self, folder):
        write_table(folder, read_table(folder), encoding="utf-8-sig")
        with zipfile.ZipFile(folder / "all.zip", "w") as archive:
            for number in range(24):
                archive.write(folder / f"{number}.png", f"{number}.png")
        embed(folder)
        embed_folder(PairTable(folder / "all.zip", folder / "index.csv"), folder / "zipped", "all")
        plain, zipped = (open_pairs(folder / name, "all") for name in ("out", "zipped"))
        assert np.array_equal(read_rows(plain.images), read_rows(zipped.images))

    def test_axes_come_from_train_alone(self, folder):
        """Other held-out pictures must not change the embeddings of train."""
        rows = read_table(folder)
        for number, row in enumerate(rows):
            row["split"] = "train" if number < 18 else "test"
        write_table(folder, rows)
        embed(folder, overwrite=True)
        before = [np.array(read_rows(f)) for f in sides(folder)]
        for number in range(18, 24):
            picture(number + 60).rotate(45).save(folder / f"{number}.png")
            rows[number]["text"] = "something unheard of"
        write_table(folder, rows)
        embed(folder, overwrite=True)
        after = [np.array(read_rows(f)) for f in sides(folder)]
        for old, new in zip(before, after, strict=True):
            assert np.allclose(old[:18], new[:18], atol=1e-5)
        assert open_pairs(folder / "out", "all").metadata["split"][-1] == "test"

    def test_equal_pixels_share_an_id(self, folder):
        rows = read_table(folder)
        picture(0).save(folder / "copy.png", compress_level=0)
        write_table(folder, [*rows, {"file": "copy.png", "text": "the same again"}])
        assert embed(folder).images == 24
        ids = open_pairs(folder / "out", "all").ids
        assert ids[0] == ids[-1]

    def test_ids_from_a_column(self, folder):
        rows = read_table(folder)
        for number, row in enumerate(rows):
            row["product"] = f"p{number // 4}"
        write_table(folder, rows)
        assert embed(folder, id_column="product").images == 6
        assert open_pairs(folder / "out", "all").ids[5] == "p1"


def sides(folder):
    pairs = open_pairs(folder / "out", "all")
    return pairs.images, pairs.texts


class TestBadInput:
    @pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n broken", b"no picture"])
    def test_broken_pictures(self, folder, content):
        (folder / "5.png").write_bytes(content)
        with pytest.raises(DataError, match=r"5\.png"):
            embed(folder)
        report = embed(folder, skip_bad=True)
        assert report.rows == 23
        assert [name for name, _ in report.skipped] == ["5.png"]
        assert "5.png" not in open_pairs(folder / "out", "all").metadata["image_files"]

    def test_no_thread_outlives_an_error(self, folder):
        (folder / "5.png").write_bytes(b"")
        before = threading.active_count()
        with pytest.raises(DataError) as kept:  # the traceback holds the generators alive
            embed(folder)
        assert threading.active_count() == before
        assert kept.value.came.endswith("is empty")

    def test_truncated_jpeg(self, folder):
        file = io.BytesIO()
        picture(5).resize((300, 300)).save(file, "JPEG")
        (folder / "5.png").write_bytes(file.getvalue()[:2000])
        with pytest.raises(DataError, match=r"5\.png.*truncated"):
            embed(folder)

    def test_deep_grey_is_refused_and_other_modes_are_not(self, folder):
        for mode in ("1", "L", "LA", "P", "RGBA", "CMYK"):
            suffix = "tif" if mode == "CMYK" else "png"
            picture(1).convert(mode).save(folder / f"mode.{suffix}")
            with PictureSource(folder) as source:
                assert source.open(f"mode.{suffix}").mode == "RGB"
        Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16)).save(folder / "5.png")
        with pytest.raises(DataError, match=r"5\.png has I;16 pixels.*8 bits"):
            embed(folder)

    def test_transparency_is_white(self, tmp_path):
        Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "x.png")
        with PictureSource(tmp_path) as source:
            assert source.open("x.png").getpixel((0, 0)) == (255, 255, 255)

    def test_missing_picture_suggests(self, folder):
        (folder / "12.png").rename(folder / "12_.png")
        with pytest.raises(DataError, match=r"no readable '12\.png'.*Did you mean '12_\.png'"):
            embed(folder)

    def test_columns(self, folder):
        with pytest.raises(DataError, match=r"no column 'texts'.*Did you mean 'text'"):
            embed(folder, text_column="texts")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "no column"),
            (b"file,text\n", "no rows"),
            (b"file,text\n1.png,a,b\n", "line 2 .* number of cells"),
            (b"file,text\n1.png\n", "line 2 .* number of cells"),
            (b"file,text\n1.png,caf\xe9\n", "not UTF-8"),
            (b'file,text\n1.png,"a\n2.png,b\n', "line 2 .* quote"),
            (b'file,text\n1.png,a\n2.png,"b\n3.png,c"\n', "line 3 .* quote"),
            (b"file,text\n1.png,  \n", "no text"),
            (b"file,text\n1.png,!!!\n2.png,???\n", "share no words"),
            (b"file,text,split\n1.png,a,val\n", "no usable row 'train'"),
        ],
    )
    def test_tables(self, folder, content, message):
        (folder / "index.csv").write_bytes(content)
        with pytest.raises(DataError, match=message):
            embed(folder)

    def test_places(self, folder):
        with pytest.raises(DataError, match="does not exist"):
            embed_folder(PairTable(folder / "no", folder / "index.csv"), folder / "out", "all")
        with pytest.raises(DataError, match="not a zip file"):
            embed_folder(
                PairTable(folder / "index.csv", folder / "index.csv"), folder / "out", "all"
            )
        with pytest.raises(DataError, match="does not exist"):
            embed_folder(PairTable(folder, folder / "no.csv"), folder / "out", "all")


class TestEncoders:
    def test_names(self, folder):
        with pytest.raises(ConfigError, match="Did you mean 'classical'"):
            embed(folder, image_encoder="clasical")
        with pytest.raises(ConfigError, match="text encoder 'timm'"):
            embed(folder, text_encoder="timm")
        with pytest.raises(DataError, match="none to choose"):
            embed(folder, image_model="resnet18")

    def test_sentence_transformers_not_installed(self, folder, monkeypatch):
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        with pytest.raises(DataError, match=r'pip install "tunewright\[text\]"'):
            embed(folder, text_encoder="sentence_transformers")

    def test_a_text_is_encoded_once_and_is_one_vector(self, folder, monkeypatch):
        rows = read_table(folder)
        rows[5]["text"] = f"  {rows[0]['text'].upper()} "
        write_table(folder, rows)
        asked = []

        class Noisy:
            """An encoder whose last bits depend on the place in the batch."""

            def __init__(self, model):
                pass

            def encode(self, texts, **_):
                asked.extend(texts)
                lengths = np.array([[len(text), text.count("r"), 1.0] for text in texts])
                return lengths * (1 + 1e-7 * np.arange(len(texts))[:, None])

        library = types.SimpleNamespace(SentenceTransformer=Noisy)
        monkeypatch.setitem(sys.modules, "sentence_transformers", library)
        embed(folder, text_encoder="sentence_transformers")
        spelled = [row["text"].strip().casefold() for row in rows]
        assert sorted(text.casefold() for text in asked) == sorted(set(spelled))
        found = read_rows(open_pairs(folder / "out", "all").texts)
        for text in set(spelled):
            same = [row for row, other in enumerate(spelled) if other == text]
            assert len(np.unique(found[same], axis=0)) == 1

    @pytest.mark.parametrize("encoder", ["classical", "timm"])
    def test_equal_pixels_are_one_vector(self, folder, monkeypatch, encoder):
        import timm

        create = timm.create_model
        monkeypatch.setattr(
            timm, "create_model", lambda name, pretrained, **options: create(name, **options)
        )
        rows = read_table(folder)
        write_table(folder, [*rows, *rows[:7]])
        timms = {"image_model": "test_resnet", "batch_size": 3} if encoder == "timm" else {}
        embed(folder, image_encoder=encoder, **timms)
        for file in sides(folder):
            assert np.array_equal(read_rows(file)[24:], read_rows(file)[:7])

    def test_timm_offline_and_unknown(self, folder, monkeypatch):
        import timm

        def offline(*_, **__):
            raise OSError("no route to host")

        monkeypatch.setattr(timm, "create_model", offline)
        with pytest.raises(DataError, match=r"resnet18.*no route to host.*downloaded on first use"):
            embed(folder, image_encoder="timm", image_model="resnet18")
        with pytest.raises(DataError, match="Did you mean 'resnet18"):
            embed(folder, image_encoder="timm", image_model="resnet-18")

    def test_timm_features(self, folder, monkeypatch):
        import timm

        create = timm.create_model
        monkeypatch.setattr(
            timm, "create_model", lambda name, pretrained, **options: create(name, **options)
        )
        torch.manual_seed(0)
        report = embed(folder, image_encoder="timm", image_model="test_resnet", batch_size=10)
        assert report.widths[0] == open_pairs(folder / "out", "all").images.width > 8


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="the development data are not beside the checkout")
def test_product_pairs_are_learnable(tmp_path):
    """A ridge map from classical embeddings finds held-out texts far above chance (about 3 %)."""
    from tunewright.contrastive.retrieval import retrieval_scores
    from tunewright.recipes.pairs.baselines import ridge

    embed_folder(PairTable(FASHION / "fashion_pairs.zip", FASHION / "index.csv"), tmp_path, "all")
    source = open_pairs(tmp_path, "all")
    check_pairs(source)
    split_pairs(source, tmp_path, SplitRule("metadata"))
    train, test = (open_pairs(tmp_path, name) for name in ("train", "test"))
    fitted = ridge(open_tensor(train.images), open_tensor(train.texts), penalty=0.3)
    texts = open_tensor(test.texts)
    scores = retrieval_scores(
        fitted.images(open_tensor(test.images)),
        fitted.texts(texts),
        torch.from_numpy(integer_ids(test)[0]),
        text_ids=torch.unique(texts, dim=0, return_inverse=True)[1],
    )
    assert scores["i2t_r10"] > 0.75
    assert scores["t2i_r10"] > 0.75


class TestExistingSetsAndForeignSplits:
    def test_a_full_folder_is_kept_unless_overwritten(self, folder):
        embed(folder)
        before = (folder / "out" / "all_metadata.json").read_bytes()
        with pytest.raises(DataError, match=r"already holds the set 'all'.*--overwrite"):
            embed(folder, dimensions=4)
        assert (folder / "out" / "all_metadata.json").read_bytes() == before
        assert embed(folder, dimensions=4, overwrite=True).rows == 24

    def test_a_foreign_split_column_is_named_and_can_be_left_aside(self, folder):
        rows = [{**row, "split": "fold-3"} for row in read_table(folder)]
        write_table(folder, rows)
        with pytest.raises(DataError, match=r"holds 'fold-3': expected train, val, test.*none"):
            embed(folder)
        embed(folder, split_column=None)
        assert "split" not in open_pairs(folder / "out", "all").metadata

    def test_another_column_can_be_the_split(self, folder):
        rows = read_table(folder)
        for number, row in enumerate(rows):
            row |= {"split": "fold-3", "part": "train" if number < 20 else "val"}
        write_table(folder, rows)
        embed(folder, split_column="part")
        assert open_pairs(folder / "out", "all").metadata["split"][-1] == "val"
        with pytest.raises(DataError, match=r"no column 'prat'.*Did you mean 'part'"):
            embed(folder, split_column="prat", overwrite=True)

    def test_the_command_has_both(self, folder):
        words = [str(folder), str(folder / "index.csv"), "--output", str(folder / "out")]
        write_table(folder, [{**row, "split": "x"} for row in read_table(folder)])
        for more in ([], ["--overwrite"]):
            found = CliRunner().invoke(app, ["embed", *words, "--split-column", "none", *more])
            assert found.exit_code == 0, found.output


@pytest.mark.parametrize(("mark", "header"), [("\t", "filepath\ttitle"), (";", "Id;Caption")])
def test_usual_columns_and_separators(folder, mark, header):
    """As open_clip's tables have them; ids without a suffix fit one file."""
    rows = read_table(folder)
    stems = header.startswith("Id")
    lines = [
        mark.join((Path(row["file"]).stem if stems else row["file"], row["text"])) for row in rows
    ]
    (folder / "index.csv").write_text("\n".join([header, *lines]) + "\n")
    assert embed(folder).rows == 24
    with pytest.raises(DataError, match=r"no column 'txt'.*--image-column or --text-column"):
        embed(folder, text_column="txt", overwrite=True)
