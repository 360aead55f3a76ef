"""Find and end the processes of a script; as a program, end them when its starter has died.

A script leads a process group of its own, so that it can be ended with its children; it would
outlive a worker that is killed. So each worker starts this file once, as a program, and tells it
which scripts run: when the worker's end of the pipe closes, the guard ends what is left of them.
Processes that moved to another session are found by a marker in their environment.

Run with `python -I -S`: standard library only, and nothing of this package.
"""

import os
import signal
import sys
import time

MARKER = "TUNEWRIGHT_SCRIPT"
"""Environment variable that names the attempt of a run; its children inherit it."""
PAUSE_SECONDS = 0.02


def processes_of(group: int | None, mark: str) -> list[int]:
    """Return the processes of a group, and those with the marker, that have not ended.

    Without /proc, only the leader of the group, for all of it.
    """
    try:
        names = os.listdir("/proc")  # noqa: PTH208 (pathlib takes longer to import)
    except OSError:
        return [group] if group is not None and _group_lives(group) else []
    wanted = os.fsencode(f"{MARKER}={mark}")
    return [
        int(name)
        for name in names
        if name.isdigit() and int(name) != os.getpid() and _belongs(name, group, wanted)
    ]


def _belongs(process: str, group: int | None, wanted: bytes) -> bool:
    try:
        if group is not None:
            with open(f"/proc/{process}/stat", "rb") as stream:  # noqa: PTH123
                state, _parent, leader = stream.read().rpartition(b")")[2].split()[:3]
            if int(leader) == group:
                return state not in (b"Z", b"X")
        with open(f"/proc/{process}/environ", "rb") as stream:  # noqa: PTH123
            environment = stream.read()  # of one that has ended it is empty
    except OSError:  # of another user, or gone
        return False
    return wanted in environment and wanted in environment.split(b"\0")


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def send_signal(group: int | None, mark: str, number: int) -> bool:
    """Send a signal to the group and to marked processes; return whether there was any."""
    found = processes_of(group, mark)
    if found and group is not None:
        try:  # noqa: SIM105 (contextlib takes longer to import)
            os.killpg(group, number)
        except OSError:
            pass
    for process in found:
        try:
            if group is None or os.getpgid(process) != group:
                os.kill(process, number)
        except OSError:
            pass
    return bool(found)


def end_processes(group: int | None, mark: str, grace_seconds: float) -> bool:
    """End all processes of a script: SIGTERM, the grace, SIGKILL; return whether there was any."""
    if not send_signal(group, mark, signal.SIGTERM):
        return False
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline:
        if not processes_of(group, mark):
            return True
        time.sleep(PAUSE_SECONDS)
    for _ in range(3):  # a process may be forking right now
        if not send_signal(group, mark, signal.SIGKILL):
            break
        time.sleep(PAUSE_SECONDS)
    return True


def main() -> None:
    """Read `begin MARK GRACE`, `group MARK PID` and `end MARK` from the pipe until it closes."""
    running: dict[str, list[float | int | None]] = {}
    for line in sys.stdin.buffer:
        what, mark, *rest = os.fsdecode(line).rstrip("\n").split("\t")
        if what == "begin":
            running[mark] = [float(rest[0]), None]
        elif what == "group" and mark in running:
            running[mark][1] = int(rest[0])
        elif what == "end":
            running.pop(mark, None)
    for mark, (grace, group) in running.items():
        end_processes(group if isinstance(group, int) else None, mark, float(grace or 0.0))


if __name__ == "__main__":
    main()
