"""A tokenizer whose vocabulary is the words of the training texts: nothing to download."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int64]
PAD, UNKNOWN, START = 0, 1, 2
SPECIAL = 3
"""Number of tokens that are no words."""
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|[^\W_]+|[^\w\s]", re.UNICODE
)
"""A character of a script without spaces, a run of letters and digits, or a punctuation mark."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case: `Mild DR, 2mm` is `mild`, `dr`, `,`, `2mm`."""
    return _WORD.findall(text.casefold())


class WordTokenizer:
    """Maps texts to numbers of words; 0 pads, 1 is any unknown word, 2 begins a text."""

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        self.words, self.context_length = tuple(words), context_length
        self._number = {word: at for at, word in enumerate(words, start=SPECIAL)}

    @classmethod
    def fit(cls, texts: Iterable[str], context_length: int) -> "WordTokenizer":
        """Make the vocabulary of the words of `texts`, sorted."""
        return cls(sorted({word for text in texts for word in words_of(text)}), context_length)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "WordTokenizer":
        """Make the tokenizer that `as_json` described."""
        return cls(stored["words"], stored["context_length"])

    def as_json(self) -> dict[str, Any]:
        """Return what a run folder keeps of it."""
        return {"kind": "words", "context_length": self.context_length, "words": list(self.words)}

    @property
    def size(self) -> int:
        """The number of different tokens."""
        return len(self.words) + SPECIAL

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of texts: int64 [N, longest], at most `context_length` wide."""
        rows = [
            [START, *(self._number.get(word, UNKNOWN) for word in words_of(text))][
                : self.context_length
            ]
            for text in texts
        ]
        tokens = np.full((len(rows), max(map(len, rows), default=1)), PAD, dtype=np.int64)
        for row, numbers in enumerate(rows):
            tokens[row, : len(numbers)] = numbers
        return tokens

    def truncated(self, texts: Sequence[str]) -> int:
        """Return how many texts are longer than the context."""
        return sum(len(words_of(text)) + 1 > self.context_length for text in texts)

    def unknown(self, texts: Iterable[str]) -> list[str]:
        """Return the words of texts that are not in the vocabulary, sorted."""
        return sorted({w for text in texts for w in words_of(text)} - self._number.keys())
