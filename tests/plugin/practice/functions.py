"""Functions to tune, importable as a user's are."""

import os
import time
from pathlib import Path


def parabola(params, report):
    return params["x"] ** 2


def curve(params, report):
    """Ten steps towards x; the process is kept, to see where it ran."""
    for step in range(1, 11):
        report(step, value=params["x"] - 1.0 / step, metrics={"process": os.getpid()})
        time.sleep(params.get("seconds", 0.02))
    return params["x"]


def patient(params, report):
    """Counts its steps in a file of its own, and fails to end when it is called first."""
    saved = report.folder / "step"
    first = int(saved.read_text()) + 1 if saved.exists() else 1
    for step in range(first, 4):
        report(step, params["x"])
        saved.write_text(str(step))
        if step == 2 and first == 1:
            os._exit(3)
    return {"value": params["x"], "first": first}


def faulty(params, report):
    match params["fault"]:
        case "raises":
            raise ValueError("a bug")
        case "not finite":
            return float("nan")
        case "not finite on the way":
            report(1, float("inf"))
        case "memory":
            raise MemoryError
        case "nothing":
            return None
        case "text as goal":
            return {"value": "a.pt"}
        case "list as goal on the way":
            report(1, 0.5)
            report(2, [1, 2])
        case "half a step":
            report(1.5, 0.5)
        case "named step":
            report("first", 0.5)
        case "other name":
            return {"loss": 1.0}
    return 1.0


def wanders(params, report):
    """Reads a file of the working directory, and leaves it, as training scripts do."""
    value = float(Path("here.txt").read_text())
    report(1, value)
    (report.folder / "elsewhere").mkdir()
    os.chdir(report.folder / "elsewhere")
    report(2, value)
    return value
