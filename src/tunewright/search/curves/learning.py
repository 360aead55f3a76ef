"""Learn the hyper-parameters of the model beside the search, while trials run.

What is learned from some observations is used from the next decision on that has more of them,
however long it took: the points that are tried do not depend on the speed of the machine.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.errors import NotWritten
from tunewright.runs.atomic import read_json, write_json
from tunewright.search.curves.model import Array, CurveModel, Observations

LEARNED, BEST_LEARNED = 140, 70
"""Observations from which hyper-parameters are learned at most; the best among them."""
GROWTH = 1.25
"""Growth of the observations after which hyper-parameters are learned again."""


class Learner:
    """Sets a model's hyper-parameters as its observations grow.

    file: keeps what is being learned, so that a search that is resumed goes on as if it had not
    been interrupted; None keeps nothing. failure: why the last attempt to learn failed, whereupon
    the former hyper-parameters stay; empty as a rule.
    """

    def __init__(self, model: CurveModel, seed: int, file: Path | None = None) -> None:
        self._model, self._seed, self._file = model, seed, file
        self._count = 0  # observations when learning began the last time
        self._thread: threading.Thread | None = None
        self._found: Array | None = None
        self.failure = ""
        if file is not None:
            self._restore(read_json(file) or {})

    def update(self, data: Observations) -> None:
        """Take what was learned from fewer observations, and begin to learn where they have grown.

        Waits for what is not learned yet.
        """
        if len(data) <= self._count:
            return
        self.wait()
        if len(data) >= GROWTH * self._count:
            rng = np.random.default_rng([self._seed, len(data)])
            self._begin(len(data), data.take(_for_learning(data, rng)))

    def wait(self) -> None:
        """Wait for what is being learned, and take it."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        if self._found is not None:
            self._model.theta = self._found

    def _begin(self, count: int, data: Observations) -> None:
        self._count = count
        start, self._found = self._model.theta, None
        if self._file is not None:
            self._keep(self._file, data)
        self._thread = threading.Thread(target=self._learn, args=(data, start), daemon=True)
        self._thread.start()

    def _learn(self, data: Observations, start: Array) -> None:
        try:
            self._found = self._model.most_probable(data, start)
        except Exception as error:  # whatever fails in a thread, the study goes on
            self.failure = str(error) or type(error).__name__

    def _keep(self, file: Path, data: Observations) -> None:
        rows = {name: column.tolist() for name, column in vars(data).items()}
        kept = {"observations": self._count, "theta": self._model.theta.tolist(), "rows": rows}
        try:
            write_json(file, kept)
        except (NotWritten, ValueError):
            return  # a resumed search then learns anew, from what is stored of its trials

    def _restore(self, kept: Mapping[str, Any]) -> None:
        """Begin again with what was being learned; a file that does not fit is left aside."""
        try:
            columns = {name: np.array(column) for name, column in kept["rows"].items()}
            data = Observations(**{**columns, "trial": columns["trial"].astype(np.intp)})
            if data.x.shape != (len(data), self._model.columns):
                return
            self._model.theta = np.array(kept["theta"], dtype=np.float64)
            self._begin(int(kept["observations"]), data)
        except (KeyError, TypeError, ValueError, AttributeError):
            return


def _for_learning(data: Observations, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return the rows to learn hyper-parameters from: the best ones, and others at random."""
    if len(data) <= LEARNED:
        return np.arange(len(data))
    order = np.argsort(-data.z, kind="stable")
    others = rng.choice(order[BEST_LEARNED:], LEARNED - BEST_LEARNED, replace=False)
    return np.sort(np.concatenate([order[:BEST_LEARNED], others]))
