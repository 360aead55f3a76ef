"""A run that replaces the recipe's own, as bytes that cross to another host."""

import pickle
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.executors.ray_cluster.ray_door import pickle_by_value
from tunewright.recipes.recipe import Run
from tunewright.runs.record import Outcome


@dataclass(frozen=True)
class CarriedRun:
    """A `Run` that is unpickled when called; functions of the main script travel by value.

    data: compressed, so that nothing mistakes it for a reference to the main script. paths: where
    the coordinator imports from.
    """

    data: bytes
    paths: tuple[str, ...]

    def __call__(self, *arguments: Any) -> Outcome:
        """Unpickle the run and call it; modules are looked up where the coordinator has them."""
        sys.path += [path for path in self.paths if path not in sys.path]
        outcome: Outcome = pickle.loads(zlib.decompress(self.data))(*arguments)
        return outcome


def carry(run: Run, paths: Sequence[str]) -> CarriedRun:
    """Pickle `run` for workers on any host that has the same packages."""
    return CarriedRun(zlib.compress(pickle_by_value(run)), tuple(paths))
