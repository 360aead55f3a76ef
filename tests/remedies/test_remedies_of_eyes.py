"""What errors about patients and their photographs advise, followed by hand."""

import base64
import csv
import io
import json
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image

from mend_as_advised import Advice, obey
from tunewright.recipes.retina.config import TripartiteConfig
from tunewright.recipes.retina.evaluation.eye_metrics import EyeMetrics
from tunewright.recipes.retina.models.bert import open_bert
from tunewright.recipes.retina.models.image_encoder import ImageEncoder, make_image_encoder

TUNE = "tune retina data.dir=d training.batch_size=4"
HEADER = ("patient_id", "left_file", "right_file", "text", "label")
Rows = Sequence[Sequence[str]]


def picture(number: int) -> bytes:
    content = io.BytesIO()
    colour = number * 7 % 256, number * 31 % 256, number % 256
    Image.new("RGB", (8, 8), colour).save(content, "PNG")
    return content.getvalue()


def patients(count: int = 24) -> list[list[str]]:
    """Return rows of patients and draw their photographs."""
    Path("d").mkdir(exist_ok=True)
    rows = []
    for number in range(count):
        names = [f"{number}_{side}.png" for side in ("left", "right")]
        for at, name in enumerate(names):
            Path("d", name).write_bytes(picture(2 * number + at))
        kind = "ab"[number % 2]
        rows.append([f"p{number}", *names, f"an eye with {kind}", kind])
    return rows


def table(
    change: Callable[[list[list[str]]], object] = lambda rows: None,
    header: Sequence[str] = HEADER,
    name: str = "index.csv",
) -> None:
    """Write the patients with a change to their rows."""
    rows = patients()
    change(rows)
    with Path("d", name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def put(row: int, column: int, value: str) -> Callable[[list[list[str]]], None]:
    """Return a change of one cell."""

    def change(rows: list[list[str]]) -> None:
        rows[row][column] = value

    return change


def changed(change: Callable[[list[list[str]]], object], **more: object) -> Callable[[], None]:
    return lambda: table(change, **more)  # type: ignore[arg-type]


def columns(*names: str) -> Callable[[], None]:
    """Write the table with these columns alone."""
    kept = [HEADER.index(name) for name in names]

    def keep(rows: list[list[str]]) -> None:
        rows[:] = [[row[at] for at in kept] for row in rows]

    return changed(keep, header=names)


def with_labels(rows: list[list[str]]) -> None:
    """Replace the class by two columns of 0 and 1."""
    rows[:] = [[*row[:4], str(at % 2), "1"] for at, row in enumerate(rows)]


SPLITS = ("train", "train", "train", "valid", "test")


def divided(moved: int | None = None, texts: Sequence[str] = SPLITS) -> Callable[[], None]:
    """Write the patients with a column split; reports only in `texts`.

    moved: the row that shows the photographs of the row before it.
    """

    def change(rows: list[list[str]]) -> None:
        for at, row in enumerate(rows):
            row.append(SPLITS[at % 5])
            row[3] = row[3] if row[-1] in texts else ""
        if moved is not None:
            rows[moved][:3] = rows[moved - 1][:3]

    return changed(change, header=(*HEADER, "split"))


def undivided(rows: list[list[str]]) -> None:
    rows[3][:3] = rows[2][:3]
    rows[3][0] = "p3"


def one_eye(names: Sequence[str]) -> Callable[[], None]:
    """Write a row for each eye, of patients with these names."""

    def change(rows: list[list[str]]) -> None:
        eyes = [(patient, *row) for patient, row in zip(names, rows, strict=False)]
        rows[:] = [
            [str(patient), row[at], side, row[2], row[3]]
            for patient, _, *row in eyes
            for at, side in enumerate(("left", "right"))
        ]

    return changed(change, header=("patient_id", "file", "eye", "text", "label"))


def in_folders() -> None:
    """Write two pictures of one name."""
    for at, folder in enumerate("ab"):
        Path("d", folder).mkdir()
        Path("d", folder, "1.png").write_bytes(picture(90 + at))


def named_twice(name: str) -> Callable[[], None]:
    return changed(put(3, 1, name))


def without_texts() -> None:
    columns("patient_id", "left_file", "right_file", "label")()


def tsv(texts: bytes = b"", cell: bytes | None = None) -> None:
    """Write the patients as RET-CLIP does."""
    Path("d").mkdir(exist_ok=True)
    lines, reports = [], []
    for number in range(24):
        eyes = [base64.urlsafe_b64encode(picture(2 * number + side)) for side in (0, 1)]
        eyes[0] = cell if number == 3 and cell is not None else eyes[0]
        lines.append(b"\t".join([str(number).encode(), *eyes]))
        reports.append(json.dumps({"text_id": number, "text": "eye", "image_ids": [number]}))
    Path("d/train_imgs.tsv").write_bytes(b"\n".join(lines) + b"\n")
    Path("d/train_texts.jsonl").write_bytes("\n".join(reports).encode() + texts)


NAMED = "zero_shot.prompts={healhty: [a], b: [c]}"
RECALL = "goal=val_recall_1"
LONG = "training.epochs=2 stages.explore.training.epochs=2"
CASES = {
    "no such place": Advice(f"{TUNE} data.dir=e", "Check the path", TUNE, table),
    "a picture misspelt": Advice(
        TUNE, "Did you mean '3_left.png'?", None, changed(put(3, 1, "3_lfet.png")), table
    ),
    "a picture of another number": Advice(
        TUNE, "Copy the picture there", None, changed(put(3, 1, "30_left.png")),
        lambda: Path("d/30_left.png").write_bytes(picture(99)),
    ),
    "a picture of another number, taken out": Advice(
        TUNE, "or take the row out", None, changed(put(3, 1, "30_left.png")),
        changed(lambda rows: rows.pop(3)),
    ),
    "a name of two pictures": Advice(
        TUNE, "Name its folder as well, such as a/1.png", None,
        lambda: (named_twice("1.png")(), in_folders()), named_twice("a/1.png"),
    ),
    "two tables": Advice(
        TUNE, "Name one: data.dir=d/a.csv", f"{TUNE} data.dir=d/a.csv",
        lambda: (table(name="a.csv"), table(name="b.csv")),
    ),
    "an eye listed twice": Advice(
        TUNE, "Give each visit a patient_id of its own", None, one_eye(["p0"] * 24),
        one_eye([f"p{number}" for number in range(24)]),
    ),
    "no photograph": Advice(
        TUNE, "Add it", None, changed(lambda rows: (put(3, 1, "")(rows), put(3, 2, "")(rows))),
        table,
    ),
    "no photograph, taken out": Advice(
        TUNE, "or take these rows out", None,
        changed(lambda rows: (put(3, 1, "")(rows), put(3, 2, "")(rows))),
        changed(lambda rows: rows.pop(3)),
    ),
    "no reports": Advice(TUNE, "Add reports of patients in train", None, without_texts, table),
    "no reports in train": Advice(
        TUNE, "Add reports of patients in train", None, divided(texts=("valid", "test")), divided()
    ),
    "nothing held out": Advice(
        f"{TUNE} data.val_split=0", "Set data.val_split", f"{TUNE} data.val_split=.2", table
    ),
    "a single patient": Advice(
        TUNE, "Add patients", None, changed(lambda rows: rows.__delitem__(slice(1, None))), table
    ),
    "leaks": Advice(TUNE, "Move them to one side", None, divided(3), divided()),
    "leaks, split anew": Advice(
        TUNE, "leave the column split out", None, divided(3), changed(undivided)
    ),
    "no classes": Advice(
        f"{TUNE} goal=val_accuracy", "or add a column label", None,
        columns("patient_id", "left_file", "right_file", "text"), table,
    ),
    "no classes, retrieval": Advice(
        f"{TUNE} goal=val_accuracy", "goal=val_recall_1", f"{TUNE} goal=val_recall_1",
        columns("patient_id", "left_file", "right_file", "text"),
    ),
    **{
        f"several labels, {goal}": Advice(
            f"{TUNE} goal=val_accuracy", f"goal={goal}", f"{TUNE} goal={goal}",
            changed(with_labels, header=(*HEADER[:4], "A", "B")),
        )
        for goal in ("val_mean_auroc", "val_recall_1")
    },
    "a warm-up as long as the run": Advice(
        f"{TUNE} {LONG} warmup=900", "Set warmup=0.1", f"{TUNE} {LONG} warmup=0.1", table
    ),
    "weights with code": Advice(
        f"{TUNE} model.weights=w.pt", "torch.save(model.state_dict(), FILE)", None,
        lambda: (table(), torch.save(Path("x"), "w.pt")),
        lambda: torch.save(torch.nn.Linear(2, 2).state_dict(), "w.pt"),
    ),
    "prompts of no class": Advice(
        f"{TUNE} 'data.class_names={{a: healthy}}' '{NAMED}'", "Did you mean 'healthy'?",
        f"{TUNE} 'data.class_names={{a: healthy}}' '{NAMED.replace('healhty', 'healthy')}'", table,
    ),
    "a text encoder misspelt": Advice(
        f"{TUNE} model.text=smal", "Did you mean 'small'?", f"{TUNE} model.text=small", table
    ),
    "a TSV that is not UTF-8": Advice(
        f"{TUNE} {RECALL}", "Save it again as UTF-8", None, lambda: tsv("\né".encode("latin1")), tsv
    ),
    "a picture that is not base64": Advice(
        f"{TUNE} {RECALL}", "Write it again", None, lambda: tsv(cell=b"%%%"), tsv
    ),
    "a picture that is not base64, taken out": Advice(
        f"{TUNE} {RECALL}", "or take it out", None, lambda: tsv(cell=b"%%%"), lambda: tsv(cell=b"")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_advice_about_patients_helps(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    obey(CASES[case])


def test_the_package_of_text_encoders_is_absent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "tunewright.recipes.retina.models.encoder_names.find_spec", lambda name: None
    )
    words = f"{TUNE} model.text=BioBERT"
    obey(Advice(words, "or set model.text=small", f"{TUNE} model.text=small", table))


class FromFolder:
    """Loads what is in a folder and, without a network, nothing else."""

    config = types.SimpleNamespace(
        hidden_size=4, max_position_embeddings=512, to_json_string=lambda use_diff: "{}"
    )
    pad_token_id = 0

    @classmethod
    def from_pretrained(cls, place: str, **_: object) -> object:
        if not Path(place).is_dir():
            raise OSError("no route to host")
        return torch.nn.Module.__new__(Bert) if _ else cls()


class Bert(torch.nn.Module):
    """Stands for the weights of a text encoder."""

    config = FromFolder.config


def test_a_text_encoder_without_a_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    library = types.SimpleNamespace(AutoModel=FromFolder, AutoTokenizer=FromFolder)
    monkeypatch.setitem(sys.modules, "transformers", library)
    obey(
        Advice(
            lambda: open_bert("BioBERT", 100), "set model.text=FOLDER",
            lambda: open_bert("copied", 100), mend=lambda: Path("copied").mkdir(),
        )
    )  # fmt: skip


def encoder(vision: str, size: int, *, pretrained: bool = False) -> Callable[[], ImageEncoder]:
    section = TripartiteConfig(vision=vision, pretrained=pretrained)
    return lambda: make_image_encoder(section, size)


def test_an_image_encoder_for_pictures_of_another_size():
    obey(Advice(encoder("test_vit", 100), "Set data.image_size=160", encoder("test_vit", 160)))
    found = encoder("efficientvit_b0", 96)().eval()  # takes any size, and no option that says which
    assert found(torch.zeros(1, 3, 96, 96)).isfinite().all()


def test_an_image_encoder_without_a_network(monkeypatch):
    create = timm.create_model

    def offline(name: str, *, pretrained: bool, **more: object) -> object:
        if pretrained:
            raise OSError("no route to host")
        return create(name, **more)

    monkeypatch.setattr(timm, "create_model", offline)
    asked = encoder("test_vit", 160, pretrained=True)
    obey(Advice(asked, "Set model.pretrained=false", encoder("test_vit", 160)))
    obey(Advice(asked, "or begin from a file: model.weights=FILE", encoder("test_vit", 160)))


def test_vectors_that_are_not_finite():
    def measured(value: float) -> Callable[[], object]:
        metrics = EyeMetrics(single=True)
        vectors = torch.eye(4).fill_diagonal_(value)
        rows = torch.arange(4)
        metrics.update({
            "rows": rows, "images": vectors, "texts": vectors, "groups": rows,
            "seen": torch.ones(4, dtype=torch.bool), "labels": rows - rows - 1,
        })  # fmt: skip
        return metrics.ranks

    obey(Advice(measured(torch.nan), "or train in another precision", measured(1.0)))
