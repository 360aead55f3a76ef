"""Work on many items at once, results in order, memory bounded."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 16  # items a thread takes at once: handing over costs as much as decoding a thumbnail
AHEAD = 4  # chunks in waiting for each thread


def in_threads(
    work: Callable[[T], R],
    items: Sequence[T],
    take: Callable[[int, R], object],
    *,
    threads: int | None = None,
    chunk: int = CHUNK,
) -> None:
    """Call `take(i, work(items[i]))` in order of i; `work` runs in threads, `take` in this one.

    chunk: items a thread takes at once; 1 where each is large, for AHEAD chunks a thread are in
    memory. An exception of either ends the rest. Threads, since Pillow, zlib and hashlib let go
    of the interpreter while they work.
    """
    threads = threads or cores()
    chunks = deque(range(0, len(items), chunk))
    waiting: deque[tuple[int, Future[list[R]]]] = deque()

    def some(at: int) -> list[R]:
        return [work(item) for item in items[at : at + chunk]]

    pool = ThreadPoolExecutor(threads)
    try:
        while chunks or waiting:
            while chunks and len(waiting) < AHEAD * threads:
                at = chunks.popleft()
                waiting.append((at, pool.submit(some, at)))
            at, future = waiting.popleft()
            for number, result in enumerate(future.result(), start=at):
                take(number, result)
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
