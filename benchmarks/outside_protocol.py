"""How a search in another environment asks for trainings: lines of JSON, with the standard library.

The first line from the parent holds `space` (by name: kind, low, high, log), `start` (points to
begin with), `first` and `last` (epochs of the shortest and the longest training) and `seed`.
"""

import json
import sys
from typing import Any


class Parent:
    """The process that trains; it ends this one when its budget is spent."""

    def __init__(self) -> None:
        self._out = sys.__stdout__
        self.given: dict[str, Any] = json.loads(sys.stdin.readline())

    def train(self, values: dict[str, Any], step: int) -> tuple[float, bool]:
        """Return the score after `step` epochs, and whether the training has ended by then."""
        plain = {k: v.item() if hasattr(v, "item") else v for k, v in values.items()}
        print(json.dumps({"values": plain, "step": step}), file=self._out, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise SystemExit
        score, done = json.loads(line)
        return score, done
