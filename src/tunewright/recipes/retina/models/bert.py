"""The one door to transformers: text encoders of the BERT family, and their tokenizers."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from tunewright.errors import ConfigError, DataError
from tunewright.recipes.retina.models.encoder_names import TEXT
from tunewright.recipes.retina.models.word_tokenizer import Tokens
from tunewright.runs.documents import parse_json


class BertTextEncoder(nn.Module):
    """A model of transformers without its pooler: tokens [N, L] to the first vector [N, width].

    Tokens of `pad` are not attended to.
    """

    def __init__(self, bert: nn.Module, width: int, pad: int) -> None:
        super().__init__()
        self.bert, self.width, self.pad = bert, width, pad

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the vector of the first token: [N, L] int64 -> [N, width]."""
        found = self.bert(input_ids=tokens, attention_mask=(tokens != self.pad).long())
        return cast(Tensor, found.last_hidden_state[:, 0])


class BertTokenizer:
    """A tokenizer of transformers, cut to the context.

    shape: the configuration of the BERT that it belongs to, as transformers stores it.
    """

    def __init__(
        self, tokenizer: Any, name: str, context_length: int, shape: Mapping[str, Any]
    ) -> None:
        self._tokenizer, self.name, self.context_length = tokenizer, name, context_length
        self._shape = shape

    def as_json(self) -> dict[str, Any]:
        """Return what a run folder keeps of it: all that is needed to make it again."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        stored = {"kind": "transformers", "name": self.name, "context_length": self.context_length}
        if backend is None:  # a tokenizer in Python alone: it is opened by its name again
            return stored
        special = {key: str(value) for key, value in self._tokenizer.special_tokens_map.items()}
        return {
            **stored,
            "shape": dict(self._shape),
            "special": special,
            "tokenizer": parse_json(backend.to_str()),
        }

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of texts: int64 [N, longest], at most `context_length` wide."""
        found = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.context_length
        )
        return np.asarray(found["input_ids"], dtype=np.int64)

    def truncated(self, texts: Sequence[str]) -> int:
        """Return how many texts are longer than the context."""
        lengths = map(len, self._tokenizer(list(texts))["input_ids"])
        return sum(length > self.context_length for length in lengths)

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Return no word: its vocabulary has parts of all words."""
        return []


def make_bert(section: Any) -> nn.Module:
    """Build a BERT of a configuration of transformers with random weights, without its pooler."""
    from transformers import AutoModel

    model: nn.Module = AutoModel.from_config(section, add_pooling_layer=False)
    return model


def open_bert(name: str, context_length: int) -> tuple[BertTextEncoder, BertTokenizer]:
    """Open weights and tokenizer from a folder, or from the hub by a name of `TEXT`.

    Raises DataError where they cannot be loaded, ConfigError for a context longer than the model's.
    """
    from transformers import AutoModel, AutoTokenizer

    place = TEXT.get(name) or str(Path(name).expanduser())
    try:
        bert = AutoModel.from_pretrained(place, add_pooling_layer=False)
        tokenizer = AutoTokenizer.from_pretrained(place)
    except Exception as error:  # the hub's clients raise whatever their transport raises
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"the text encoder {name!r} cannot be loaded ({reason})",
            expected="a connection to the hub, or a folder with config.json, model.safetensors and "
            "the tokenizer",
            remedy="Copy it here and set model.text=FOLDER, or set model.text=small.",
        ) from None
    longest = int(getattr(bert.config, "max_position_embeddings", context_length))
    if context_length > longest:
        raise ConfigError(
            f"model.context_length = {context_length}", expected=f"at most {longest} for {name}"
        )
    encoder = BertTextEncoder(bert, int(bert.config.hidden_size), int(tokenizer.pad_token_id))
    shape = parse_json(bert.config.to_json_string(use_diff=False))
    return encoder, BertTokenizer(tokenizer, name, context_length, shape)


def is_complete(stored: Mapping[str, Any]) -> bool:
    """Return whether what a run folder keeps needs neither the hub nor the folder it came from."""
    return "tokenizer" in stored


def restore_bert(stored: Mapping[str, Any]) -> tuple[BertTextEncoder, BertTokenizer]:
    """Make the text encoder that `BertTokenizer.as_json` described; its weights are random."""
    from transformers import AutoConfig, PreTrainedTokenizerFast

    shape = dict(stored["shape"])
    section = AutoConfig.for_model(shape.pop("model_type"), **shape)
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(stored["tokenizer"], file)
        file.flush()
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=file.name, **stored["special"])
    encoder = BertTextEncoder(
        make_bert(section), int(section.hidden_size), int(tokenizer.pad_token_id)
    )
    context_length = int(stored["context_length"])
    return encoder, BertTokenizer(tokenizer, str(stored["name"]), context_length, stored["shape"])
