"""Work on a batch on the CPU: parts that fit a cache, side by side, each in one thread alone.

torch would share every single operation among all threads and wait for the slowest of them each
time: hundreds of times a batch, and for long wherever another process wants the same core.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

import torch

LARGEST = 1 << 22
"""Bytes of a part: its operations find their numbers in the cache."""
SMALLEST = 1 << 20
"""Below this, threads would wait for the interpreter more than they work."""


def chunked_on_cpu(work: Callable[[slice], None], count: int, bytes_each: int) -> None:
    """Call `work` with slices that cover `count` rows of `bytes_each`; how they are cut may vary.

    As many at once as torch has threads; within `work` it has one. The first error is raised
    once all are done.
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
    torch.set_num_threads(threads)  # what our threads set for themselves holds for later ones
    if errors:
        raise errors[0]


def cut(count: int, bytes_each: int, threads: int) -> list[slice]:
    """Slices of nearly equal length: one a thread, or more where they would be too large."""
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
    """Threads that torch does not multiply; a forked process cannot use those of its parent."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
