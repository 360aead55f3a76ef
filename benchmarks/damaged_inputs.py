"""How many damaged files of each kind end in anything but success or one sentence.

    python benchmarks/damaged_inputs.py --inputs 10000

Each input is a whole file, or a folder of a study or a run with one such file, of which a few bytes
are flipped, inserted, cut or repeated, or in which pieces of YAML and JSON are put; seeds are
fixed, so that input number N is always the same. An error that is not ours counts as a traceback,
more than ten seconds of processor time as a hang. A changed byte of a number cannot be seen. What
can be: an end that is missing, a lost row or cell, a file of another type, a checksum that does not
hold, a database that disagrees with its folders. Where such damage is neither refused nor reported,
wrong data were accepted.
"""

import argparse
import io
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from damage import Door, WrongDataError
from damaged_files import file_doors
from damaged_studies import study_doors
from machine import describe_machine

from tunewright.errors import TunewrightError

RESULT = Path(__file__).parent / "results" / "damaged_inputs.json"
SECONDS = 10
TOLD = 100
"""Inputs of a part after which it says how far it is."""
VERDICTS = ("accepted", "refused", "tracebacks", "hangs", "wrong")


def doors() -> Mapping[str, Door]:
    """Write whole inputs into the working folder; return what reads damaged ones, by kind."""
    return {**file_doors(), **study_doors()}


class _Hang(BaseException):
    """A reader that used too much processor time."""


def try_inputs(
    count: int,
    seed: int = 0,
    only: Sequence[str] = (),
    until: float = math.inf,
    part: tuple[int, int] = (0, 1),
    on_progress: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Read `count` damaged inputs of all kinds in turn; return counts by kind, and the faults.

    only: the kinds to read; all by default. until: seconds since 1970 at which to stop. part:
    (1, 3) reads the second of three parts. Input number N is the same either way. on_progress: is
    told after each hundred inputs how far the part is.
    """
    found: dict[str, dict[str, int]] = {}
    faults: list[str] = []
    tried = 0

    def stop(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGVTALRM, stop)
    with tempfile.TemporaryDirectory() as folder, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        readers = doors()
        for number in range(count):
            kind = list(readers)[number % len(readers)]
            if (only and kind not in only) or number // len(readers) % part[1] != part[0]:
                continue
            if time.time() > until:
                break
            tally = found.setdefault(kind, dict.fromkeys(VERDICTS, 0))
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    readers[kind](random.Random(f"{seed} {number}"))
                tally["accepted"] += 1
            except TunewrightError:
                tally["refused"] += 1
            except WrongDataError as error:
                tally["wrong"] += 1
                faults.append(f"{kind} {number}: {error}")
            except _Hang:
                tally["hangs"] += 1
                faults.append(f"{kind} {number}: hang")
            except Exception as error:
                tally["tracebacks"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                faults.append(
                    f"{kind} {number}: {type(error).__name__} in {Path(where.filename).name}:"
                    f"{where.lineno}"
                )
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            tried += 1
            if tried % TOLD == 0 and on_progress is not None:
                on_progress(
                    f"part {part[0] + 1} of {part[1]}: read up to input {number:,} of {count:,}, "
                    f"{len(faults)} faults"
                )
    signal.signal(signal.SIGVTALRM, before)
    return {"inputs": tried, "seed": seed, "kinds": found, "faults": faults}


def tell_progress(text: str) -> None:
    """Write a line to standard error; workers do it, too."""
    print(text, file=sys.__stderr__, flush=True)


def main() -> None:
    """Try the inputs, print and store the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="Stop after this time.")
    parser.add_argument("--only", nargs="*", default=[], help="Kinds to read; stores nothing.")
    asked = parser.parse_args()
    until = time.time() + 60.0 * asked.minutes
    work = partial(
        try_inputs, asked.inputs, asked.seed, asked.only, until, on_progress=tell_progress
    )
    with ProcessPoolExecutor(asked.jobs, get_context("spawn")) as pool:
        parts = list(pool.map(work, [(part, asked.jobs) for part in range(asked.jobs)]))
    kinds = {
        kind: {
            verdict: sum(part["kinds"].get(kind, {}).get(verdict, 0) for part in parts)
            for verdict in VERDICTS
        }
        for kind in parts[0]["kinds"]
    }
    faults = [fault for part in parts for fault in part["faults"]]
    whole = {**parts[0], "inputs": sum(part["inputs"] for part in parts)}
    result = {"machine": describe_machine(), **whole, "kinds": kinds, "faults": faults}
    for kind, tally in result["kinds"].items():
        print(f"{kind:<14}", "  ".join(f"{name} {count:,}" for name, count in tally.items()))
    print("\n".join(result["faults"]) or "no faults")
    if not asked.only:
        RESULT.write_text(json.dumps(result, indent=2) + os.linesep)


if __name__ == "__main__":
    main()
