"""Write a study's report while it runs, without holding up the search."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tunewright.errors import TunewrightError
from tunewright.runs.folder import StudyFolder
from tunewright.search.read_study import read_study
from tunewright.search.reporting.study_report import report_study

SECONDS = 60.0
"""Time between two reports, at least."""
SHARE = 0.05
"""Share of the time that writing reports may take."""


@contextmanager
def fresh_report(
    folder: StudyFolder, storage: str, on_notice: Callable[[str], None], *, every: float = SECONDS
) -> Iterator[None]:
    """Keep `report.html` of a study fresh within the block, and write it at the end.

    A thread reads the study as a visitor does, from its database and files: at most once in `every`
    seconds, and less often where that takes long. A report that cannot be written costs the report
    alone: the reason is told once. storage: the URL of the database, with its password.
    """
    ended = threading.Event()
    told: list[str] = []

    def write() -> float:
        began = time.monotonic()
        try:
            if folder.settings.exists():
                report_study(read_study(str(folder.path), storage=storage))
        except Exception as error:
            if not told:
                kind = "" if isinstance(error, TunewrightError) else f"{type(error).__name__}: "
                told.append(f"no report was written: {kind}{error}")
                on_notice(told[0])
        return time.monotonic() - began

    def keep() -> None:
        wait = every
        while not ended.wait(wait):
            wait = max(every, write() / SHARE)

    thread = threading.Thread(target=keep, name="report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        write()
