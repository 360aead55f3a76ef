"""Stands in for the commands of SLURM: jobs run on this machine, without a limit of their time.

`python fake_slurm.py COMMAND ARGUMENTS...`; what it knows of each job lies in $FAKE_SLURM, where a
file `hold` keeps jobs in the queue and a file `forgetful` makes squeue forget those that ended.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PLACE = Path(os.environ.get("FAKE_SLURM", ""))
COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "srun")


def install(folder: Path) -> None:
    """Write the commands into a folder for PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in COMMANDS:
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {__file__} {name} "$@"\n')
        command.chmod(0o755)


def read(job: str) -> dict:
    while True:
        with suppress(ValueError):
            return json.loads((PLACE / f"{job}.json").read_text())


def change(job: str, **news: object) -> None:
    new = PLACE / f".{job}.{os.getpid()}"
    known = read(job) if (PLACE / f"{job}.json").exists() else {}
    new.write_text(json.dumps(known | news))
    new.replace(PLACE / f"{job}.json")


def jobs_of(arguments: list[str]) -> list[str]:
    """The jobs that are named, each task of an array for its array."""
    words = [a.partition("=")[2] for a in arguments if a.startswith("--jobs=")]
    wanted = [n for word in words for n in word.split(",")]
    wanted += [a for a in arguments if re.fullmatch(r"\d+(_\d+)?", a)]
    known = sorted(path.stem for path in PLACE.glob("*.json"))
    return [job for job in known if job in wanted or job.partition("_")[0] in wanted]


def sbatch(arguments: list[str]) -> None:
    script = Path(arguments[-1])
    words = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", script.read_text(), re.MULTILINE))
    if words.get("partition", "main") != "main":
        print(f"sbatch: error: invalid partition specified: {words['partition']}", file=sys.stderr)
        print("sbatch: error: Batch job submission failed", file=sys.stderr)
        sys.exit(1)
    number = 1 + max((int(p.stem.partition("_")[0]) for p in PLACE.glob("*.json")), default=0)
    last = re.match(r"0-(\d+)", words.get("array", ""))
    tasks = [f"{number}_{i}" for i in range(int(last[1]) + 1)] if last else [str(number)]
    text = script.read_text()
    for task in tasks:
        change(task, state="PENDING", script=text, words=words, lives=0)
        subprocess.Popen(
            [sys.executable, "-S", "-E", __file__, "node", task],
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    print(f"Submitted batch job {number}")


def node(arguments: list[str]) -> None:
    """The life of a job, as long as it is requeued."""
    [job] = arguments
    number, _, task = job.partition("_")
    own = {"SLURM_JOB_ID": number, "FAKE_SLURM_JOB": job}
    if task:
        own |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": task}
    while True:
        while (PLACE / "hold").exists() and read(job)["state"] == "PENDING":
            time.sleep(0.02)
        if read(job)["state"] != "PENDING":
            return
        change(job, state="RUNNING", lives=read(job)["lives"] + 1)
        words = read(job)["words"]
        names = [
            words[w].replace("%A", number).replace("%a", task).replace("%j", job)
            for w in ("output", "error")
        ]
        with Path(names[0]).open("a") as output, Path(names[1]).open("a") as error:
            shell = subprocess.Popen(
                ["bash", "-c", read(job)["script"]], env=os.environ | own, stdout=output,
                stderr=error, start_new_session=True,
            )  # fmt: skip
        change(job, shell=shell.pid)
        code = shell.wait()
        state = read(job)["state"]
        if state == "REQUEUED":
            change(job, state="PENDING")
            continue
        if state == "RUNNING":
            change(job, state="COMPLETED" if code == 0 else "FAILED")
        return


def srun(_arguments: list[str]) -> None:
    """Submitit looks whether it is there."""


def scancel(arguments: list[str]) -> None:
    named = "--signal" in arguments and arguments[arguments.index("--signal") + 1]
    for job in jobs_of(arguments):
        known = read(job)
        if known["state"] not in ("PENDING", "RUNNING"):
            continue
        if named:  # as with --batch: to the batch shell
            os.kill(known["shell"], getattr(signal, named))
            continue
        change(job, state="CANCELLED by 0")
        if known["state"] == "RUNNING":
            end(known)


def end(known: dict) -> None:
    """SIGTERM to every process of the job, and SIGKILL after a while."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            session = (process / "stat").read_text().rpartition(")")[2].split()[3]
            if int(session) == known["shell"]:
                os.kill(int(process.name), signal.SIGTERM)
    with suppress(ProcessLookupError):
        for _ in range(500):
            os.kill(known["shell"], 0)
            time.sleep(0.02)
        os.killpg(known["shell"], signal.SIGKILL)


def scontrol(arguments: list[str]) -> None:
    assert arguments[0] == "requeue"
    for job in jobs_of(arguments[1:]):
        change(job, state="REQUEUED")
        os.killpg(read(job)["shell"], signal.SIGKILL)


def squeue(arguments: list[str]) -> None:
    for job in jobs_of(arguments):
        state = read(job)["state"].partition(" ")[0]
        if not (PLACE / "forgetful").exists() or state in ("PENDING", "RUNNING"):
            print(f"{job}|{state}")


def sacct(arguments: list[str]) -> None:
    for job in jobs_of(arguments):
        print(f"{job}|{read(job)['state']}")


if __name__ == "__main__":
    {name: globals()[name] for name in (*COMMANDS, "node")}[sys.argv[1]](sys.argv[2:])
