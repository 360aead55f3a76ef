"""What errors about embeddings advise, followed by hand: the set is mended and then taken."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mend_as_advised import Advice, enter, obey
from tunewright.contrastive.retrieval import ranks
from tunewright.recipes.pairs.baselines import procrustes, ridge
from tunewright.recipes.pairs.data.pair_files import open_pairs, save_pairs
from tunewright.recipes.pairs.data.split import SplitRule, split_pairs
from tunewright.recipes.pairs.heads import attention

TUNE = "tune pairs data.dir=d stages.explore.data.train=train"
SPLIT = "pairs split d"
EMBED = "pairs embed p t.csv --output d"
IMAGES = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
TEXTS = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
FIRST, LAST = range(40), range(40, 60)


def save(name: str, rows: range, images=IMAGES, ids: list | None = None, **more: list) -> None:
    """Write a set of some of the rows."""
    metadata = {"image_ids": [*rows] if ids is None else ids, **more}
    save_pairs("d", name, images[rows], TEXTS[rows], metadata)


def sets(*, valid: range = LAST, images=IMAGES, ids: list | None = None) -> None:
    """Write train, val, and all of it."""
    save("all", range(60))
    save("train", FIRST)
    save("val", valid, images, ids)


def sets_to_split() -> None:
    save("all", range(60))


def spoilt(number: float) -> None:
    sets()
    images = IMAGES.copy()
    images[3] = number
    save("train", FIRST, images)


def without_row_3() -> None:
    """Drop a row from all three files."""
    kept = [row for row in FIRST if row != 3]
    save_pairs("d", "train", IMAGES[kept], TEXTS[kept], {"image_ids": kept})


def metadata(name: str, change: Callable[[dict], object]) -> Callable[[], None]:
    """Change the metadata of a set."""

    def make() -> None:
        file = Path("d", f"{name}_metadata.json")
        held = json.loads(file.read_text())
        change(held)
        file.write_text(json.dumps(held))

    return make


def put(key: str, values: list) -> Callable[[dict], None]:
    return lambda held: held.update({key: values})


def listed(*parts: str, each: int = 20) -> list[str]:
    return [part for part in parts for _ in range(each)]


def move(name: str, other: str) -> Callable[[], object]:
    return lambda: Path("d", name).rename(Path("d", other))


def also(*steps: Callable[[], object]) -> Callable[[], object]:
    return lambda: [step() for step in steps]


def table_of_ids(header: str) -> None:
    """Write the metadata of train as a table."""
    Path("d/train_metadata.json").unlink(missing_ok=True)
    rows = [header, *map(str, FIRST)]
    Path("d/train_metadata.csv").write_text("\n".join(rows) + "\n")


SETS = {
    "no folder": Advice(f"{TUNE} data.dir=e", "Check the path", TUNE, sets),
    "no folder yet": Advice(
        TUNE, "`tunewright pairs embed` and `tunewright pairs split`",
        before=lambda: table(24), mend=lambda: typed(EMBED, f"{SPLIT} --fractions .6,.2,.2"),
    ),
    "encoders of two widths": Advice(
        TUNE, "Embed all sets with the same encoders", None,
        lambda: sets(images=np.pad(IMAGES, ((0, 0), (0, 2)))), lambda: save("val", LAST),
    ),
    "NaN": Advice(TUNE, "Embed these rows again", None, lambda: spoilt(np.nan), sets),
    "zeros": Advice(TUNE, "drop them from all three files", None, lambda: spoilt(0), without_row_3),
    "an image in two sets": Advice(
        TUNE, "Split again by image with `tunewright pairs split`", None,
        lambda: sets(valid=range(30, 60)), lambda: typed(f"{SPLIT} --overwrite"),
    ),
    "ids of two types": Advice(
        TUNE, "as integers, or all as text", None,
        lambda: sets(ids=[f"{number:03}" for number in LAST]), lambda: save("val", LAST),
    ),
    "no metadata": Advice(
        TUNE, "Write image_ids", None, lambda: (sets(), Path("d/train_metadata.json").unlink()),
        lambda: Path("d/train_metadata.json").write_text(json.dumps({"image_ids": [*FIRST]})),
    ),
    "metadata of another name": Advice(
        TUNE, "name the file with data.train_metadata", f"{TUNE} data.train_metadata=ids.json",
        also(sets, move("train_metadata.json", "ids.json")),
    ),
    "metadata without ids": Advice(
        TUNE, "Add image_ids", None, also(sets, metadata("train", lambda held: held.clear())),
        metadata("train", put("image_ids", [*FIRST])),
    ),
    "a table without ids": Advice(
        TUNE, "Add the column image_id", None, lambda: (sets(), table_of_ids("number")),
        lambda: table_of_ids("image_id"),
    ),
    "no folder to split": Advice(f"{SPLIT}d", "Check the path", SPLIT, sets_to_split),
    "a split of two texts": Advice(
        lambda: split_pairs(open_pairs("d", "all"), "e", SplitRule(text_groups=True)),
        "Leave text_groups out or set it to False",
        lambda: (split_pairs(open_pairs("d", "all"), "e"),
                 split_pairs(open_pairs("d", "all"), "f", SplitRule(text_groups=False))),
        lambda: save("all", range(60), texts=listed("a", *"bcdef", each=10)),
    ),
    "a split of two texts, by halves": Advice(
        lambda: split_pairs(open_pairs("d", "all"), "e", SplitRule(text_groups=True)),
        "use larger fractions",
        lambda: split_pairs(open_pairs("d", "all"), "e",
                            SplitRule("groups", (0.6, 0.2, 0.2), text_groups=True)),
        lambda: save("all", range(60), texts=listed("a", *"bcdef", each=10)),
    ),
    "a split of a split": Advice(
        f"{SPLIT} --name train", "another folder with --output",
        f"{SPLIT} --name train --output e", sets,
    ),
    "a split of a split, renamed": Advice(
        f"{SPLIT} --name train", "rename the source", f"{SPLIT} --name whole",
        lambda: save("train", FIRST), lambda: [
            file.rename(file.with_name(f"whole{file.name.removeprefix('train')}"))
            for file in Path("d").iterdir()
        ],
    ),
    "a split misspelt": Advice(
        f"{SPLIT} --by metadata", "Did you mean 'train'?", None,
        lambda: save("all", range(60), split=listed("tran", "val", "test")),
        metadata("all", put("split", listed("train", "val", "test"))),
    ),
    "no split listed": Advice(
        f"{SPLIT} --by metadata", "Add it", None, sets_to_split,
        metadata("all", put("split", listed("train", "val", "test"))),
    ),
    "a split that leaks": Advice(
        f"{SPLIT} --by metadata", "--by groups", f"{SPLIT} --by groups",
        lambda: save("all", range(60), ids=[*range(50), *range(10)],
                     split=listed("train", "val", "test")),
    ),
    "a set in another format": Advice(
        f"{SPLIT} --overwrite", "Move or delete it", None,
        lambda: (save("all", range(60)), torch.save(torch.ones(2, 6),
                                                    "d/train_image_embeddings.pt")),
        lambda: Path("d/train_image_embeddings.pt").unlink(),
    ),
    "a set in another format, elsewhere": Advice(
        f"{SPLIT} --overwrite", "or choose another folder", f"{SPLIT} --output e",
        lambda: (save("all", range(60)), torch.save(torch.ones(2, 6),
                                                    "d/train_image_embeddings.pt")),
    ),
}  # fmt: skip


def typed(*lines: str) -> None:
    for line in lines:
        enter(line)


def table(rows: int = 12, header: str = "file,text", cells: Callable[[int], str] | None = None):
    """Write pictures in p and the table t.csv about them."""
    Path("p").mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    for number in range(rows):
        pixels = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"p/{number}.png")
    words = ["red", "green", "blue", "lying", "standing", "bar", "field"]
    plain = cells or (lambda n: f"{n}.png,{words[n % 7]} {words[n % 3]} {n % 9}")
    lines = [header, *(plain(number) for number in range(rows))]
    Path("t.csv").write_text("\n".join(lines) + "\n")


def divided(*parts: str, column: str = "split") -> Callable[[], None]:
    """Write a table whose last column has these values in turn."""
    return lambda: table(
        header=f"file,text,{column}",
        cells=lambda n: f"{n}.png,a red bar {n % 5},{parts[n % len(parts)]}",
    )


def textless() -> None:
    table(cells=lambda n: f"{n}.png,{'' if n == 3 else f'red bar {n % 5}'}")


SKIP = f"{EMBED} --skip-bad"
EMBEDDED = {
    "a set that is there": Advice(
        EMBED, "Replace it with --overwrite", f"{EMBED} --overwrite",
        lambda: (table(), typed(EMBED)),
    ),
    "a set that is there, by another name": Advice(
        EMBED, "--name", f"{EMBED} --name other", lambda: (table(), typed(EMBED))
    ),
    "no text": Advice(EMBED, "Complete the table", None, textless, table),
    "no text, skipped": Advice(EMBED, "skip such rows with --skip-bad", SKIP, textless),
    "nothing to train on": Advice(
        EMBED, "Correct the column", None, divided("val"), divided("train", "val")
    ),
    "nothing to train on, split later": Advice(
        EMBED, "--split-column none", f"{EMBED} --split-column none", divided("val")
    ),
    "a foreign split": Advice(
        EMBED, "Correct the column", None, divided("train", "dev"), divided("train", "val")
    ),
    "a foreign split, left aside": Advice(
        EMBED, "--split-column none", f"{EMBED} --split-column none", divided("train", "dev")
    ),
    "a column of splits misspelt": Advice(
        f"{EMBED} --split-column fodl", "Did you mean 'fold'?", f"{EMBED} --split-column fold",
        divided("train", "val", column="fold"),
    ),
    "a column misspelt": Advice(
        f"{EMBED} --text-column txet", "Did you mean 'text'?", f"{EMBED} --text-column text", table
    ),
    "columns of other names": Advice(
        EMBED, "Name it with --image-column or --text-column",
        f"{EMBED} --image-column what --text-column words", lambda: table(header="what,words"),
    ),
    "texts without words": Advice(
        EMBED, "Check the text column", f"{EMBED} --text-column words",
        lambda: table(header="file,text,words", cells=lambda n: f"{n}.png,?!,red bar {n % 5}"),
    ),
    "a model of an encoder without one": Advice(
        f"{EMBED} --image-model test_resnet", "Choose an encoder with models: timm",
        f"{EMBED} --image-model test_resnet --image-encoder timm", table,
    ),
    "a picture model misspelt": Advice(
        f"{EMBED} --image-encoder timm --image-model test_resnt", "Did you mean 'test_resnet",
        f"{EMBED} --image-encoder timm --image-model test_resnet", table,
    ),
    "no text encoder": Advice(
        f"{EMBED} --text-encoder sentence_transformers", "or choose 'classical'",
        f"{EMBED} --text-encoder classical", table,
    ),
}  # fmt: skip


@pytest.fixture
def weights(monkeypatch):
    """No weights are downloaded: timm starts a model at random; the text library is absent."""
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **more: create(name, **more))
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)


@pytest.mark.parametrize("case", [*SETS, *EMBEDDED])
def test_the_advice_about_pairs_helps(case, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    obey({**SETS, **EMBEDDED}[case])


@pytest.mark.parametrize(
    "encoder", ["--image-encoder timm", "--text-encoder sentence_transformers"]
)
def test_an_encoder_without_a_network(encoder, tmp_path, monkeypatch):
    import timm

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timm, "create_model", offline)
    library = types.SimpleNamespace(SentenceTransformer=offline)
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    option = encoder.split()[0]
    obey(Advice(f"{EMBED} {encoder}", "'classical'", f"{EMBED} {option} classical", table))


HALF = torch.from_numpy(IMAGES), torch.from_numpy(TEXTS)
ROWS = torch.arange(60)
CALLS = {
    "no penalty": Advice(
        lambda: ridge(*HALF, penalty=0), "Use procrustes", lambda: procrustes(*HALF)
    ),
    "tokens": Advice(
        lambda: attention(6, tokens=4), "Choose one of 1, 2, 3, 6",
        lambda: attention(6, tokens=3, num_heads=1),
    ),
    "heads": Advice(
        lambda: attention(6, tokens=1, num_heads=4), "Choose one of 1, 2, 3, 6",
        lambda: attention(6, tokens=1, num_heads=3),
    ),
    "queries of another split": Advice(
        lambda: ranks(HALF[0], HALF[0], ROWS + 40, ROWS), "come from the same split",
        lambda: ranks(HALF[0], HALF[0], ROWS, ROWS),
    ),
    "NaN in an embedding": Advice(
        lambda: ranks(HALF[0] * torch.nan, HALF[0], ROWS, ROWS), "look for NaN in the embedding",
        lambda: ranks(HALF[0], HALF[0], ROWS, ROWS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_the_advice_of_a_function_helps(case):
    obey(CALLS[case])
