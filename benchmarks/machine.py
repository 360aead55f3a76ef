"""What a figure was measured on, without names that identify the machine."""

import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil


def describe_machine() -> dict[str, object]:
    """Processor, cores, memory, load, versions and the day."""
    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_1_min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": version("torch"),
        "optuna": version("optuna"),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
