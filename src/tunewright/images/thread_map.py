"""Run a function on many items in threads; results arrive in order, in bounded memory."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import median
from typing import TypeVar

from tunewright.runs.machine.free_cores import cores

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 16  # items a thread takes at once: a hand-over costs as much as decoding a thumbnail
AHEAD = 4  # chunks queued for each thread
TRIED = 8
SHORT_SECONDS = 2.5e-4
"""Below this, two threads wait for the interpreter lock longer than they work in parallel."""
ENOUGH_SECONDS = 0.05


def thread_map(
    work: Callable[[T], R],
    items: Sequence[T],
    take: Callable[[int, R], object],
    *,
    threads: int | None = None,
    chunk: int = CHUNK,
) -> None:
    """Call `take(i, work(items[i]))` in order of i; `work` runs in threads, `take` in this one.

    threads: by default as many as are useful; 1 means this thread. chunk: items that a thread takes
    at once; use 1 for large items, since AHEAD chunks per thread are in memory. An exception in
    either function ends the rest. Threads suffice because Pillow, zlib and hashlib release the
    interpreter lock while they work.
    """

    def one(number: int) -> None:
        take(number, work(items[number]))

    begun = 0
    if threads is None:
        seconds = time_items(one, len(items))
        begun, threads = len(seconds), useful_threads(seconds)
    if threads == 1:
        for number in range(begun, len(items)):
            one(number)
        return
    chunks = deque(range(begun, len(items), chunk))
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


def time_items(work: Callable[[int], object], items: int) -> list[float]:
    """Measure the seconds that `work` takes for each of the first few items, in this thread."""
    seconds: list[float] = []
    while len(seconds) < min(TRIED, items) and sum(seconds) < ENOUGH_SECONDS:
        began = time.perf_counter()
        work(len(seconds))
        seconds.append(time.perf_counter() - began)
    return seconds


def useful_threads(seconds: Sequence[float]) -> int:
    """Return the number of cores, or 1 if an item takes so little that threads would be slower.

    seconds: of some items, as `time_items` returns them. Pictures of up to about 100 pixels a side
    are decoded in less time than passing the interpreter lock from thread to thread takes.
    """
    return 1 if seconds and median(seconds) < SHORT_SECONDS else cores()
