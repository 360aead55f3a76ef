"""Questions that a run asks its coordinator while it runs, and the answers, in the run folder.

Files, as everything between the two: every executor has the folder in common. One question is open
at a time; an answer has the number of its question.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tunewright.runs.atomic import read_json, write_json
from tunewright.runs.folder import RunFolder

QUESTION, ANSWER = "question.json", "answer.json"


@dataclass(frozen=True)
class Question:
    """A question of an attempt.

    suggest: the name of a parameter that needs a value, from the domain `fields`, as a space file
    writes it; empty asks whether the trial should be pruned. number: counts the questions of the
    attempt.
    """

    attempt: int
    number: int
    suggest: str = ""
    fields: Mapping[str, Any] | None = None


def write_question(folder: RunFolder, question: Question) -> None:
    """Store a question; it replaces the one before."""
    write_json(folder.path / QUESTION, asdict(question))


def read_question(folder: RunFolder, attempt: int) -> Question | None:
    """Return the last question of an attempt; None where it has asked none."""
    stored = read_json(folder.path / QUESTION)
    if stored is None or stored.get("attempt") != attempt:
        return None
    return Question(**stored)


def write_answer(folder: RunFolder, question: Question, answer: Mapping[str, Any]) -> None:
    """Store the answer to a question."""
    place = {"attempt": question.attempt, "number": question.number}
    write_json(folder.path / ANSWER, {**answer, **place})


def read_answer(folder: RunFolder, question: Question) -> Mapping[str, Any] | None:
    """Return the answer to a question; None while there is none."""
    stored = read_json(folder.path / ANSWER)
    if stored is None:
        return None
    same = (stored.get("attempt"), stored.get("number")) == (question.attempt, question.number)
    return stored if same else None
