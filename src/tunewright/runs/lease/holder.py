"""Which process holds a lease, and whether it lives, told apart from those of other hosts."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from tunewright.runs.machine.temporary_folders import is_alive

Fate = Literal["alive", "dead", "unknown"]
FIRST_NAMESPACE = "pid:[4026531836]"
"""The process numbers of a Linux machine itself; a container has a namespace of its own."""


@dataclass(frozen=True)
class Host:
    """One table of processes.

    name: several machines, and more containers, may have the same. machine: an identity that
    survives a restart. boot: changes with it. namespace: of the process numbers. The last three
    are empty where the system does not tell.
    """

    name: str
    machine: str = ""
    boot: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class Holder:
    """A process on a host. born: its start, which tells it from a later one with its number.

    started: the same in seconds since 1970, as older versions compare it.
    """

    host: Host
    pid: int
    born: str
    started: float = field(compare=False)

    def __str__(self) -> str:
        """Return the process as messages name it."""
        return f"process {self.pid} on {self.host.name}"

    def as_stored(self) -> dict[str, Any]:
        """Return it as JSON, with the keys that older versions read."""
        own = {key: value for key, value in asdict(self.host).items() if key != "name"}
        return {
            "host": self.host.name,
            "pid": self.pid,
            "started": self.started,
            "born": self.born,
            **own,
        }


def this_host() -> Host:
    """Return the host of this process."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return Host(
        socket.gethostname(),
        _line("/etc/machine-id"),
        _line("/proc/sys/kernel/random/boot_id"),
        namespace,
    )


def this_process() -> Holder:
    """Return this process as a holder."""
    pid = os.getpid()
    return Holder(this_host(), pid, _born(pid) or "", psutil.Process(pid).create_time())


def read_holder(stored: Mapping[str, Any]) -> Holder | None:
    """Return a stored holder, also of an older version; None where none is named."""
    pid, started = stored.get("pid"), stored.get("started", 0.0)
    if not isinstance(pid, int) or pid < 1 or not isinstance(started, int | float):
        return None
    host = Host(*(str(stored.get(key, "")) for key in ("host", "machine", "boot", "namespace")))
    return Holder(host, pid, str(stored.get("born", "")), float(started))


def fate_of(holder: Holder) -> Fate:
    """Return whether a process lives; `unknown` for one whose host cannot be asked from here."""
    here, there = this_host(), holder.host
    if here.name != there.name:
        return "unknown"
    if not there.boot:  # of an older version, or of a system that does not tell
        if here.boot and holder.born:
            return "unknown"
        return "alive" if is_alive(holder.pid, holder.started) else "dead"
    if (here.boot, here.namespace) == (there.boot, there.namespace):
        return "alive" if _born(holder.pid) == holder.born else "dead"
    # Of the same machine before it was started again. In containers an identity says nothing, since
    # those of one image share it.
    is_machine = here.namespace == there.namespace == FIRST_NAMESPACE
    if is_machine and here.machine and here.machine == there.machine and here.boot != there.boot:
        return "dead"
    return "unknown"


def _born(pid: int) -> str | None:
    """Return the start of a living process, by a clock that nobody sets; None for a dead one."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except OSError:
        return None
    else:
        state, *fields = line.rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]  # starttime, in clock ticks since the boot
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.0f}"
    except psutil.Error:
        return None


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
