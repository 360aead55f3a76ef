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


def marked_processes(mark: str) -> list[int]:
    """Return the processes whose environment has the marker; none where there is no /proc."""
    wanted = os.fsencode(f"{MARKER}={mark}")
    found = []
    try:
        names = os.listdir("/proc")  # noqa: PTH208 (pathlib takes longer to import)
    except OSError:
        return []
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as stream:  # noqa: PTH123
                environment = stream.read()
        except OSError:  # of another user, or gone
            continue
        if wanted in environment and wanted in environment.split(b"\0"):
            found.append(int(name))
    return found


def group_lives(group: int) -> bool:
    """Return whether a process group has a member that has not ended."""
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def send_signal(group: int | None, mark: str, number: int) -> bool:
    """Send a signal to the group and to marked processes; return whether there was any."""
    sent = False
    if group is not None:
        try:
            os.killpg(group, number)
            sent = True
        except OSError:
            pass
    for process in marked_processes(mark):
        try:
            os.kill(process, number)
            sent = True
        except OSError:
            pass
    return sent


def end_processes(group: int | None, mark: str, grace_seconds: float) -> bool:
    """End all processes of a script: SIGTERM, the grace, SIGKILL; return whether there was any."""
    if not send_signal(group, mark, signal.SIGTERM):
        return False
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline:
        if not (group is not None and group_lives(group)) and not marked_processes(mark):
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
