"""Text encoders of transformers: a random BERT from a folder, and again from the run alone."""

import shutil
from pathlib import Path

import pytest
import torch

import tunewright
from tunewright.runs.atomic import read_json

transformers = pytest.importorskip("transformers", reason="needs the extra `retina`")

WORDS = [
    "an",
    "eye",
    "with",
    "a",
    "b",
    "normal",
    "fundus",
    "drusen",
    "retina",
    "photograph",
    "of",
    "image",
    "showing",
    "the",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT of 3,000 weights with its tokenizer, as `save_pretrained` writes them."""
    place = tmp_path / "tiny-bert"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    place.mkdir()
    (place / "vocab.txt").write_text("\n".join(vocabulary))
    shape = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    torch.manual_seed(0)
    transformers.BertModel(shape).save_pretrained(place)
    transformers.BertTokenizerFast(str(place / "vocab.txt")).save_pretrained(place)
    return place


def test_what_a_run_folder_keeps_makes_it_again(folder: Path) -> None:
    from tunewright.recipes.retina.models.bert import is_complete, open_bert, restore_bert

    texts = ["normal fundus", "drusen", "an eye with words that are unknown"]
    encoder, tokenizer = open_bert(str(folder), 6)
    stored = tokenizer.as_json()
    assert is_complete(stored)
    other, again = restore_bert(stored)
    assert again.encode(texts).tolist() == tokenizer.encode(texts).tolist()
    assert again.truncated(texts) == tokenizer.truncated(texts) == 1
    other.load_state_dict(encoder.state_dict())
    tokens = torch.from_numpy(tokenizer.encode(texts))
    encoder.eval(), other.eval()
    assert torch.equal(encoder(tokens), other(tokens))
    assert again.as_json() == stored


def test_a_run_is_evaluated_without_the_folder(folder: Path, tmp_path: Path) -> None:
    words = ["data.image_size=32", "model.embed_dim=16", f"model.text={folder}"]
    words += ["model.context_length=12", "training.epochs=1", "executor.type=inline"]
    trained = tunewright.train("retina", *words, runs_dir=tmp_path / "runs")
    run = trained.folders[0].path
    stored = read_json(run / "tokenizer.json")
    assert stored is not None
    assert stored["kind"] == "transformers"
    shutil.rmtree(folder)
    figures = tunewright.evaluate(run).figures
    assert figures["patients"] == 96
