"""The workers of a coordinator: their jobs are submitted, looked after, and cancelled here."""

import secrets
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tunewright.errors import ConfigError, RunError
from tunewright.executors.batch.job_system import JobState, JobSystem
from tunewright.executors.batch.known_worker import SILENT_SECONDS, KnownWorker
from tunewright.executors.batch.worker_folder import (
    SubmittedJob,
    WorkerFolder,
    WorkerPlan,
    own_versions,
)

BEAT_SECONDS = 5.0
"""How often the coordinator writes a sign of life."""
LISTEN_SECONDS = 0.05
"""Seconds between two looks for a sign of life."""
MOST_USELESS = 3
"""Jobs in a row that end without any work; then the study ends with an error."""


class Crew:
    """The workers whose folders are in `place`, each in a job of `jobs`.

    plan: what each is told; of its `gpus` each gets one, and a token of its own. The workers that
    an earlier coordinator left are taken over.
    """

    def __init__(self, jobs: JobSystem, plan: WorkerPlan, place: Path) -> None:
        self.jobs, self.plan, self.place = jobs, plan, place
        self.workers: list[KnownWorker] = []
        self._useless = 0
        self._asked = self._signed = float("-inf")
        self._beat = secrets.randbits(32)
        self._take_over()

    def recruit(self, count: int) -> None:
        """Submit jobs until `count` workers work or wait in the queue."""
        there = sum(worker.has_begun or worker.waits for worker in self.workers)
        if there >= count:
            return
        self._sign()
        new = [self._new_worker() for _ in range(count - there)]
        numbers = self.jobs.submit([worker.folder.path for worker in new])
        for worker, number in zip(new, numbers, strict=True):
            worker.job = number
            worker.folder.write_job(SubmittedJob(number, self.jobs.name, socket.gethostname()))
            self.workers.append(worker)

    def describe(self) -> str:
        """Return how many workers work, and how many wait, as text for the user."""
        begun = sum(worker.has_begun for worker in self.workers)
        waiting = sum(worker.waits for worker in self.workers)
        runs = "1 worker runs" if begun == 1 else f"{begun} workers run"
        return f"{runs}, {waiting} {'waits' if waiting == 1 else 'wait'} in the queue"

    def look(self) -> bool:
        """Read what the workers say, and ask the batch system when due; return whether it is news.

        Raises ConfigError for workers that see another folder or have other versions.
        """
        self._sign()
        news = False
        for worker in self.workers:
            if worker.look():
                news = True
                self._check(worker)
        if time.monotonic() - self._asked >= self.jobs.look_seconds:
            self._ask_system()
        return news

    def release(self, worker: KnownWorker) -> None:
        """Forget a worker that has ended; raise RunError for several that did no work at all."""
        self.workers.remove(worker)
        if worker.dismissed or (worker.state is not None and not worker.state.problem):
            return
        self._useless += 1
        if self._useless >= MOST_USELESS:
            raise self._useless_jobs(worker)

    def praise(self) -> None:
        """Take note that a worker has worked."""
        self._useless = 0

    def dismiss_all(self) -> None:
        """Dismiss all workers and cancel their jobs, also those that wait in the queue."""
        left = [worker for worker in self.workers if not worker.is_over]
        for worker in left:
            with suppress(Exception):  # a full disk must not keep the jobs from being cancelled
                worker.tell("dismiss")
        self.jobs.cancel([worker.job for worker in left])
        self.jobs.close()
        self.workers.clear()

    def _new_worker(self) -> KnownWorker:
        """Make the folder of a worker; it gets the GPU that the fewest others have."""
        used = [gpu for worker in self.workers for gpu in worker.gpus]
        gpus = (min(self.plan.gpus, key=used.count),) if self.plan.gpus else ()
        plan = replace(self.plan, token=secrets.token_hex(8), gpus=gpus)
        folder = WorkerFolder(self.place / f"w{secrets.token_hex(4)}")
        folder.write_plan(plan)
        return KnownWorker(folder, "", plan.token, gpus)

    def _sign(self) -> None:
        if time.monotonic() - self._signed >= BEAT_SECONDS:
            self._signed, self._beat = time.monotonic(), self._beat + 1
            WorkerFolder(self.place / "any").write_coordinator(self._beat)

    def _check(self, worker: KnownWorker) -> None:
        said = worker.state
        assert said is not None
        if said.token != worker.token:
            raise ConfigError(
                f"{self.place} is another folder on {said.host} than here",
                expected="a folder that all nodes see",
                remedy="Choose one on a shared file system with --runs-dir.",
            )
        own = own_versions()
        if other := {name: v for name, v in said.versions.items() if own.get(name) != v}:
            here = ", ".join(f"{name} {own.get(name, 'missing')}" for name in other)
            there = ", ".join(f"{name} {value}" for name, value in other.items())
            raise ConfigError(
                f"the worker on {said.host} has {there}",
                expected=f"what this coordinator has: {here}",
                remedy="Use one environment, on a file system that all nodes see; "
                "executor.slurm.setup holds shell lines that activate it.",
            )

    def _ask_system(self) -> None:
        self._asked = time.monotonic()
        left = [worker for worker in self.workers if worker.ended_at is None]
        known = [worker.job for worker in left if not worker.foreign]
        states = self.jobs.states(known) if known else {}
        for worker in left:
            worker.job_state = states.get(worker.job, worker.job_state)
            if worker.is_over:
                worker.ended_at = time.monotonic()
            elif worker.has_begun:
                self._doubt(worker)

    def _doubt(self, worker: KnownWorker) -> None:
        """Give up a worker that is silent while its job waits again, or for long."""
        assert worker.state is not None
        silent = worker.silence.seconds
        if worker.job_state is not None and worker.job_state.stage == "waiting":
            if silent > self.jobs.late_seconds:
                worker.lost_life = worker.state.life
        elif silent > SILENT_SECONDS:
            if not worker.foreign:
                self.jobs.cancel([worker.job])
            text = f"its worker was silent for {SILENT_SECONDS:g} s (job {worker.job})"
            worker.job_state, worker.ended_at = JobState("ended", text), time.monotonic()

    def _useless_jobs(self, worker: KnownWorker) -> RunError:
        if worker.state is not None:
            why = f"the worker of job {worker.job} failed: {worker.state.problem}"
        else:
            why = (worker.job_state.reason if worker.job_state else "") or f"job {worker.job} ended"
            last = self.jobs.end_of_log(worker.job).splitlines()[-1:]
            why += "".join(f"; it printed last: {line}" for line in last)
        return RunError(
            f"{self._useless} jobs in a row ended without any work: {why}",
            remedy=f"Their output is in {self.place / 'jobs'}. Is that folder on a file system "
            "that the nodes see, and can they run this Python? executor.slurm.setup holds shell "
            "lines that prepare a node.",
        )

    def _take_over(self) -> None:
        """Take over the workers of an earlier coordinator; remove the folders of those that ended.

        Of a local job on another machine nothing is known but its signs of life.
        """
        for path in sorted(self.place.glob("w*/job.json")):
            if (worker := self._left_worker(WorkerFolder(path.parent))) is not None:
                self.workers.append(worker)
        if not self.workers:
            return
        self._sign()
        self._ask_system()
        for worker in self.workers:
            known = worker.job_state is not None and worker.job_state.stage == "running"
            worker.heard = known or (worker.state is None and not worker.foreign)
        self._listen()
        for worker in list(self.workers):
            if worker.is_over:
                shutil.rmtree(worker.folder.path, ignore_errors=True)
            elif not worker.heard or (worker.job_state is None and not worker.foreign):
                worker.tell("dismiss")  # should it live after all
            else:
                continue
            self.workers.remove(worker)

    def _left_worker(self, folder: WorkerFolder) -> KnownWorker | None:
        job, plan = folder.read_job(), folder.read_plan()
        if job is None or plan is None or job.system != self.jobs.name:
            return None
        foreign = self.jobs.share_host and job.host != socket.gethostname()
        worker = KnownWorker(folder, job.id, plan.token, plan.gpus, foreign)
        worker.look()
        order = folder.read_order()
        worker.serial = max(worker.serial, order.serial if order else 0)
        worker.dismissed = order is not None and order.kind == "dismiss"
        worker.heard = False
        return worker

    def _listen(self) -> None:
        """Wait for signs of life of workers about whose jobs nothing is known."""
        until = time.monotonic() + self.jobs.late_seconds
        while time.monotonic() < until:
            asked = [one for one in self.workers if not one.heard and not one.is_over]
            for worker in asked:
                worker.look()
            if not asked:
                return
            time.sleep(LISTEN_SECONDS)
