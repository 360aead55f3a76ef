"""Draw candidates for the next point: from the whole space, and near good trials."""

import numpy as np
import numpy.typing as npt

from tunewright.search.curves.model import Array


def draw_near(parents: Array, is_choice: npt.NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Return a place near each parent: some coordinates move, by one scale for each place.

    parents: shape (n, parameters), NaN for a parameter that one lacks. A choice is drawn again once
    in as many times as there are parameters.
    """
    count = parents.shape[1]
    spread = 0.3 * 10.0 ** (-1.2 * rng.random((len(parents), 1)))
    moved = np.abs(parents + spread * rng.standard_normal(parents.shape)) % 2.0
    moved = np.where(moved > 1.0, 2.0 - moved, moved)
    share = np.where(is_choice, 1 / count, max(0.5, 2 / count))
    moves = rng.random(parents.shape) < share
    anywhere = rng.random(parents.shape)
    found = np.where(moves, np.where(is_choice, anywhere, moved), parents)
    return np.where(np.isnan(parents), anywhere, found)
