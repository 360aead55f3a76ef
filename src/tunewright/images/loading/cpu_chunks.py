"""Work on a batch on the CPU in parts that fit the cache, each in a single thread.

torch would share every operation among all threads and wait for the slowest each time: hundreds of
times per batch, and for long if another process wants the same core.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

import torch

LARGEST = 1 << 22
"""Most bytes of a part, so that it stays in the cache from one operation to the next."""
SMALLEST = 1 << 20
"""Least bytes of a part; below this, threads wait for the interpreter lock more than they work."""


def chunked_on_cpu(work: Callable[[slice], None], count: int, bytes_each: int) -> None:
    """Call `work` with slices that cover `count` rows of `bytes_each`; the cuts may vary.

    Runs as many slices at once as torch has threads, each with a single torch thread. The first
    error is raised after all slices are done.
    """
    threads = torch.get_num_threads()
    parts = cut(count, bytes_each, threads)
    if len(parts) == 1 or threads == 1:
        with _one_thread():
            for part in parts:
                work(part)
        return
    done = [_pool(threads, os.getpid()).submit(work, part) for part in parts]
    errors = [error for error in (one.exception() for one in done) if error is not None]
    torch.set_num_threads(threads)  # else later threads would inherit the 1 of ours
    if errors:
        raise errors[0]


def cut(count: int, bytes_each: int, threads: int) -> list[slice]:
    """Return slices of nearly equal length: one per thread, or more if they would be too large.

    For example 10 rows in 3 slices: 0-3, 3-6, 6-10.
    """
    largest = max(1, LARGEST // bytes_each)  # rows
    number = min(count, max(-(-count // largest), min(threads, count * bytes_each // SMALLEST), 1))
    return [slice(*edges) for edges in pairwise(count * at // number for at in range(number + 1))]


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Make threads that use one torch thread each; a forked process cannot use its parent's."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
