"""Rows that share a value are one group, however long the chain."""

import numpy as np

from tunewright.images.dataset.connected_groups import connected_groups


def test_chains():
    first = np.array(["x", "x", "y", "z", "w"])
    second = np.array([1, 2, 2, 3, 4])
    assert connected_groups([first, second]).tolist() == [0, 0, 0, 1, 2]
    assert connected_groups([second]).tolist() == [0, 1, 1, 2, 3]
    assert connected_groups([first]).dtype == np.int64
