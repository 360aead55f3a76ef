"""How a worker begins: with the plan in its folder, and with what its earlier life has left."""

import os
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path

from tunewright.errors import TunewrightError
from tunewright.executors.batch.submitit_door import job_number
from tunewright.executors.batch.worker_folder import (
    LOST,
    WorkerFolder,
    WorkerPlan,
    WorkerState,
    own_versions,
)
from tunewright.executors.executor import WorkerDeath
from tunewright.runs.folder import RunFolder

PATIENCE_SECONDS = 90.0
"""How long a file that must be there is awaited: network file systems remember an absence for up to
a minute."""
LOOK_SECONDS = 0.25


def await_plan(folder: WorkerFolder) -> WorkerPlan:
    """Return the plan; raise TunewrightError where this node does not see it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (plan := folder.read_plan()) is None:
        if time.monotonic() > until:
            raise TunewrightError(
                f"{folder.path} holds no plan.json on {socket.gethostname()}",
                expected="the folder of the study, on a file system that all nodes see",
                remedy="Choose one with --runs-dir.",
            )
        time.sleep(LOOK_SECONDS)
    return plan


def first_state(folder: WorkerFolder, plan: WorkerPlan) -> WorkerState:
    """Return the state with which a job begins, also one that was requeued.

    What became of the order before stays readable. One that was given and not taken is not taken
    now: the coordinator has found another worker for it.
    """
    state = WorkerState(
        plan.token,
        beat=1,
        life=1,
        stage="idle",
        job=job_number(),
        host=socket.gethostname(),
        pid=os.getpid(),
        versions=own_versions(),
    )
    before, order = folder.read_state(), folder.read_order()
    if before is None:
        return state
    state = replace(state, beat=before.beat + 1, life=before.life + 1, serial=before.serial)
    kept = {name: getattr(before, name) for name in ("folder", "attempt", "untaken")}
    state = replace(state, ended=before.serial, **kept)
    if order is not None and order.serial > before.serial and order.kind == "run":
        return replace(
            state, serial=order.serial, ended=order.serial, untaken=True,
            folder=order.folder, attempt=order.attempt,
        )  # fmt: skip
    if before.ended == before.serial:
        return replace(state, outcome=before.outcome, death=before.death)
    outcome = RunFolder(Path(before.folder)).read_outcome() is not None
    lost = asdict(WorkerDeath(reason=LOST))
    return replace(state, outcome=outcome, death=None if outcome else lost)
