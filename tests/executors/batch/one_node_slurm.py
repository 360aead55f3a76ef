"""A real SLURM of one node, from the packages slurmctld, slurmd and slurm-client of Debian.

They need not be installed: unpacked with `dpkg -x` they are found where PATH and LD_LIBRARY_PATH
lead. It needs neither a database nor munge.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
PluginDir={plugins}
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=30
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=batch_sched_delay=1,sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def find(program: str) -> str | None:
    """The path of a daemon of SLURM, by its own name or Debian's."""
    return shutil.which(program, path=SEARCHED) or shutil.which(f"{program}-wlm", path=SEARCHED)


def why_not() -> str:
    """Why SLURM cannot be started here; empty when it can."""
    missing = [p for p in ("slurmctld", "slurmd", "slurmstepd") if find(p) is None]
    missing += [p for p in ("sbatch", "squeue", "scancel", "srun") if shutil.which(p) is None]
    if missing:
        return f"SLURM is not installed here: no {', '.join(missing)}"
    if plugins() is None:
        return "the plugins of SLURM are not found"
    return ""


def plugins() -> Path | None:
    """The folder of its plugins, beside its programs."""
    daemon = find("slurmctld")
    root = Path(str(daemon)).resolve().parents[1]
    for pattern in ("lib/*/slurm-wlm", "lib/slurm", "lib64/slurm", "lib/*/slurm"):
        for folder in sorted(root.glob(pattern)):
            if (folder / "auth_none.so").exists():
                return folder
    return None


@contextmanager
def started(place: Path) -> Iterator[Path]:
    """Start the two daemons; the file that SLURM_CONF should name."""
    for name in ("state", "spool"):
        (place / name).mkdir(parents=True)
    configuration = place / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            ports=[_free_port(), _free_port()],
            plugins=plugins(),
            user=psutil.Process().username(),
            place=place,
        )
    )
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    daemons = []
    for command in (["slurmctld", "-D", "-c"], ["slurmd", "-D", "-d", find("slurmstepd")]):
        log = (place / f"{command[0]}.out").open("w")
        with log:
            words = [str(find(command[0])), *map(str, command[1:])]
            daemons.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))
    try:
        _await_idle(environment, place)
        yield configuration
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _await_idle(environment: dict[str, str], place: Path) -> None:
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        said = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True
        )
        if said.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    logs = "".join(p.read_text()[-1000:] for p in place.glob("*.log"))
    raise AssertionError(f"SLURM has not begun: {logs}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
