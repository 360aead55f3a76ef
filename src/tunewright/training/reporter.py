"""How a training reports to its coordinator: through its run folder."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressWriter
from tunewright.runs.question import Question, read_answer, write_question
from tunewright.runs.record import EndRequest, Progress
from tunewright.training.memory.device import device_peak_mib
from tunewright.training.memory.peak import MemoryPeak
from tunewright.training.trackers.tracking import Tracking
from tunewright.training.usage.gpu import GpuSampler, open_gpu

POLL_SECONDS = 0.05
SHORTEST_WAIT, LONGEST_WAIT = 0.0005, 0.004
"""Seconds between two looks for an answer, which double from the first to the last."""


class Reporter:
    """Writes progress, and passes requests on to the training.

    on_report: called after each report, so that a coordinator in the same process, or one that
    waits on a pipe, looks at once. on_poll: called before each look for a request; a coordinator
    in the same process can make one only then. tracking: set before `begin` to send the run to
    trackers. memory: the peak of the run, measured until `close`.
    """

    def __init__(
        self,
        folder: RunFolder,
        attempt: int,
        on_report: Callable[[], None] | None = None,
        on_poll: Callable[[], None] | None = None,
    ) -> None:
        self.folder, self.attempt = folder, attempt
        self.tracking = Tracking(folder, {})
        self._on_report, self._on_poll = on_report, on_poll
        self._writer: ProgressWriter | None = None
        self._polled = 0.0
        self._gpu: GpuSampler | None = None
        self._asked = 0
        self._step = 0
        self.memory = MemoryPeak()

    def begin(self, resumed_from: int) -> None:
        """Record which epoch this attempt starts from; call it before the first report."""
        self._writer = ProgressWriter(self.folder.progress, self.attempt, resumed_from)
        self._step = resumed_from
        self._gpu, why = open_gpu()
        if why:
            print(why)
        self.tracking.begin()

    def report(
        self,
        step: int,
        metrics: Mapping[str, float],
        seconds: float,
        lr: float | None = None,
        *,
        data_wait: float | None = None,
    ) -> None:
        """Report the metrics after `step` epochs; safe on disk when this returns.

        lr: the learning rate of the last step before it. data_wait: the share of the epoch's
        training that waited for batches.
        """
        assert self._writer is not None, "begin() must come before report()"
        gpu = self._gpu.take() if self._gpu is not None else None
        progress = Progress(
            self.attempt,
            step,
            dict(metrics),
            seconds,
            round(self.memory.mib(), 1),
            round(device_peak_mib(), 1),
            lr,
            None if data_wait is None else round(data_wait, 4),
            None if gpu is None else gpu.utilization,
            None if gpu is None else gpu.memory_mib,
        )
        self._writer.write(progress)
        self.tracking.log(progress)
        self._step, self._polled = step, 0.0
        if self._on_report is not None:
            self._on_report()

    def notice(self, text: str) -> None:
        """Show the user a notice about this run; call `begin` before."""
        assert self._writer is not None, "begin() must come before notice()"
        self._writer.notice(text)

    def request(self) -> EndRequest | None:
        """Return the request to this attempt, if any; reads the disk at most every 50 ms.

        An attempt ends without a request when the run was begun again elsewhere.
        """
        now = time.monotonic()
        if now - self._polled < POLL_SECONDS:
            return None
        self._polled = now
        if self._on_poll is not None:
            self._on_poll()
        if self.folder.attempt > self.attempt:  # another coordinator has begun the run again
            return EndRequest("cancel", self.attempt)
        request = self.folder.read_request(self.attempt)
        return None if request is None or request.after > self._step else request

    def ask(self, suggest: str = "", fields: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Ask the coordinator and wait for its answer; see `runs.question.Question`.

        Returns an empty answer when the attempt is asked to pause or cancel instead.
        """
        self._asked += 1
        question = Question(self.attempt, self._asked, suggest, fields)
        write_question(self.folder, question)
        wait, looked = SHORTEST_WAIT, time.monotonic()
        if self._on_report is not None:
            self._on_report()
        while (answer := read_answer(self.folder, question)) is None:
            if time.monotonic() - looked > POLL_SECONDS:
                looked = time.monotonic()
                if (request := self.request()) is not None and request.kind != "prune":
                    return {}
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        return answer

    def close(self) -> None:
        """Release the progress file and the trackers."""
        self.memory.close()
        if self._gpu is not None:
            self._gpu.close()
        self.tracking.close()
        if self._writer is not None:
            self._writer.close()
