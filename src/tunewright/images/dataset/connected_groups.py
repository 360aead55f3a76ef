"""Group rows that are connected by equal values, also in chains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def connected_groups(keys: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Return the number of the group of each row: [rows], from 0, by first row.

    keys: arrays of [rows]. These are the connected components of the graph that joins each row
    to each of its values.
    """
    # Imported late: a process that only predicts spends most of its time on imports.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(keys[0])
    ends: list[npt.NDArray[np.int64]] = []
    nodes = rows
    for key in keys:
        values, number = np.unique(key, return_inverse=True)
        ends.append(number + nodes)
        nodes += len(values)
    starts = np.tile(np.arange(rows), len(keys))
    edges = (np.ones(len(starts), dtype=np.bool_), (starts, np.concatenate(ends)))
    _, labels = connected_components(coo_array(edges, shape=(nodes, nodes)), directed=False)
    _, groups = np.unique(labels[:rows], return_inverse=True)
    return groups.astype(np.int64)
