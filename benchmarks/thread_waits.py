"""How threads should wait for each other: on an idle machine, beside two busy processes, beside 12.

Each arm is a process of its own that trains and decodes as the command line does, on two threads
a worker, with its way of waiting in its environment:

plain        as OpenMP's runtime waits by itself: its threads look again and again for about 3 ms
spin 50000   for a sixth of that
spin 10000   for a thirtieth
asleep       not at all (`OMP_WAIT_POLICY=PASSIVE`)
one          one thread a worker, which waits for nobody
ours         nothing is set: the product decides, and follows what the machine does

A case's figure is the time of its own work, without the start of the process: the training's
seconds, or those from a file's bytes to its picture. Arms take turns in each round; busy processes
are this script's own, and are ended with it. What takes longer than `--limit` seconds is ended and
counted as so long, which only makes ours look worse. Also printed is what the product decides by:
the share of the time that its threads wanted a core and had none (`executors/thread_waits.py`).

    python benchmarks/thread_waits.py [--conditions idle,two,twelve] [--cases pairs,decode,...]
        [--arms plain,ours,...] [--rounds N] [--limit SECONDS] [--keep] [--quick]

On two cores all of it takes about 20 minutes. Nothing else may run meanwhile; the load is printed.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rounds import Ratio, judge, ratio, run_rounds, save

import tunewright
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine.free_cores import missed_share, pressure, scheduler_times

ARMS: Mapping[str, Mapping[str, str]] = {
    "plain": {"GOMP_SPINCOUNT": "300000"},  # what it is without any setting
    "spin 50000": {"GOMP_SPINCOUNT": "50000"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
    "asleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one": {"OMP_NUM_THREADS": "1"},
    "ours": {},
}
FIXED = [name for name in ARMS if name not in ("plain", "ours")]
BUSY = {"idle": 0, "two": 2, "twelve": 12}
SAME = ("training.precision=fp32", "training.layout=contiguous", "training.compile=never")
TRAINED: Mapping[str, Sequence[str]] = {
    "pairs": ("training.epochs=20",),
    "longtail": ("training.epochs=2",),
    "flowers": ("training.epochs=2",),
    "compression": ("training.epochs=1", "data.crops_per_photo=16"),
}
CASES = (*TRAINED, "decode")
CASES_OF = {"idle": CASES, "two": CASES, "twelve": ("pairs", "decode")}
ROUNDS_OF = {"idle": 3, "two": 3, "twelve": 1}
IDLE, FIXED_AT_MOST, TWELVE = 0.97, 1.15, 4.0
"""Targets: ours over plain when idle, over the best fixed way beside two, over plain beside 12."""
START_SECONDS = 180.0
OURS = ("OMP_", "GOMP_", "KMP_", "MKL_")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conditions", type=_list, default=list(BUSY))
    parser.add_argument("--cases", type=_list, default=None, help=f"of {', '.join(CASES)}")
    parser.add_argument("--arms", type=_list, default=list(ARMS), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--limit", type=float, default=40.0)
    parser.add_argument("--keep", action="store_true", help="write the figures also of a part")
    parser.add_argument("--quick", action="store_true", help="one case, two arms, one round")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)  # what an arm's process does
    options = parser.parse_args()
    if options.work:
        place, *cases = options.work
        work(Path(place), cases)
        return
    if options.quick:
        options.conditions, options.cases, options.rounds = ["two"], ["pairs"], 1
        options.arms = ["asleep", "ours"]
    whole = options.conditions == list(BUSY) and options.arms == list(ARMS) and not options.cases
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        prepare(place)
        for condition in options.conditions:
            cases = options.cases or list(CASES_OF[condition])
            rounds = options.rounds or ROUNDS_OF[condition]
            found[condition] = compare(place, condition, cases, options.arms, rounds, options.limit)
    if (whole or options.keep) and not options.quick:
        command = "python benchmarks/thread_waits.py"
        print(f"written: {save('thread_waits', command, None, limit_s=options.limit, **found)}")


def prepare(place: Path) -> None:
    """A compressor that was trained for a moment, and a picture that it wrote."""
    print("a compressor is trained for a moment, and data are fetched from the package", flush=True)
    environment = _environment({"OMP_WAIT_POLICY": "PASSIVE"})
    code = (
        "import sys, tunewright, numpy as np; from pathlib import Path; from PIL import Image\n"
        "from sklearn.datasets import load_sample_images\n"
        "place = Path(sys.argv[1])\n"
        "tunewright.train('compression', 'training.epochs=1', 'data.crops_per_photo=4',\n"
        "                 *sys.argv[2:], name='coder', runs_dir=place)\n"
        "Image.fromarray(load_sample_images().images[0][:320, :448]).save(place / 'picture.png')\n"
        "tunewright.compress(place / 'picture.png', output=place / 'picture.twc',\n"
        "                    run=place / 'coder', on_progress=lambda *_: None)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(place), *SAME],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def work(place: Path, cases: Sequence[str]) -> None:
    """What an arm's process does: each case, and a line with its seconds after it."""
    from tunewright.executors.subprocess_call import call

    call(time.time)  # the fork server imports torch: not what is measured
    print(json.dumps({"ready": True}), flush=True)
    for number, case in enumerate(cases):
        if case == "decode":
            target = place / f"decoded-{os.getpid()}-{number}.png"
            told = tunewright.decompress(
                place / "picture.twc",
                output=target,
                run=place / "coder",
                on_progress=lambda *_: None,
            )
            seconds = told.seconds
        else:
            name = f"{case}-{os.getpid()}-{number}"
            tunewright.train(case, *TRAINED[case], *SAME, name=name, runs_dir=place)
            outcome = RunFolder(place / name).read_outcome()
            assert outcome is not None
            seconds = outcome.seconds
            log = RunFolder(place / name).log.read_text(encoding="utf-8").splitlines()
            for line in (line for line in log if line.startswith("threads: ")):
                print(f"  {case}: {line}", file=sys.stderr)  # how the product decided
        print(json.dumps({case: seconds}), flush=True)


def compare(
    place: Path,
    condition: str,
    cases: Sequence[str],
    arms: Sequence[str],
    rounds: int,
    limit: float,
) -> dict[str, object]:
    """All arms under one condition: the rounds, the ratios that are claimed, and the verdicts."""
    print(f"-- {condition}: {BUSY[condition]} busy process(es); {', '.join(cases)}")
    with busy(BUSY[condition]):
        measured = run_rounds(
            {arm: lambda arm=arm: _arm(place, arm, cases, limit) for arm in arms},  # type: ignore[misc]
            rounds=rounds,
            null="plain" if condition == "idle" and "plain" in arms else None,
            warm_ups=0,
        )
        share, seen = watched_alone()
    print(f"{condition}: the kernel's pressure {share}, an idle loop of one thread misses {seen}")
    ratios: dict[str, Ratio] = {}
    verdicts: dict[str, str] = {}
    for case in cases:
        for arm in arms:
            if arm != "plain" and "plain" in arms:
                ratios[f"{case}: plain over {arm}"] = ratio(measured, "plain", arm, case)
        if "ours" not in arms:
            continue
        if condition == "two" and (fixed := [arm for arm in arms if arm in FIXED]):
            best = min(fixed, key=lambda arm: median(measured.values(arm, case)))
            over = ratios[f"{case}: ours over {best}, the best fixed"] = ratio(
                measured, "ours", best, case
            )
            verdicts[f"{case}: at most {FIXED_AT_MOST} of the best fixed"] = judge(
                over, at_most=FIXED_AT_MOST
            )
        elif condition != "two" and "plain" in arms:
            least = IDLE if condition == "idle" else TWELVE
            verdicts[f"{case}: at least {least:g}x plain's speed"] = judge(
                ratios[f"{case}: plain over ours"], at_least=least
            )
    for name, said in {**ratios, **verdicts}.items():
        print(f"{condition}, {name}: {said}", flush=True)
    return {
        "median_seconds": {
            arm: {case: measured.median(arm, case) for case in cases} for arm in arms
        },
        "ratios": ratios,
        "verdicts": verdicts,
        "rounds": measured.rounds,
    }


def watched_alone(seconds: float = 3.0) -> tuple[str, str]:
    """What the kernel says of the machine, and what a loop of this thread's misses meanwhile."""
    before, began = scheduler_times(), time.monotonic()
    while time.monotonic() - began < seconds:
        pass
    lacked = missed_share(before, scheduler_times(), seconds)
    told = pressure()
    return "?" if told is None else f"{told:.2f}", "?" if lacked is None else f"{lacked:.3f}"


def _arm(place: Path, arm: str, cases: Sequence[str], limit: float) -> dict[str, float]:
    """The seconds of each case; a process that has to be ended is begun again with the rest."""
    seconds: dict[str, float] = {}
    while left := [case for case in cases if case not in seconds]:
        for case, took in _worked(place, arm, left, limit):
            seconds[case] = took
    return seconds


def _worked(
    place: Path, arm: str, cases: Sequence[str], limit: float
) -> Iterator[tuple[str, float]]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--work", str(place), *cases],
        env=_environment(ARMS[arm]),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said: queue.Queue[str] = queue.Queue()
    stdout = process.stdout
    assert stdout is not None
    threading.Thread(target=lambda: [*map(said.put, stdout), said.put("")], daemon=True).start()
    waiting = list(cases)
    until = time.monotonic() + START_SECONDS
    try:
        while waiting:
            try:
                line = said.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                yield waiting[0], limit
                return
            if not line:
                raise RuntimeError(f"{arm}: ended with code {process.wait()} in {waiting[0]}")
            if not line.startswith("{"):
                continue
            for case, took in json.loads(line).items():
                if case == waiting[0]:
                    yield waiting.pop(0), min(float(took), limit)
            until = time.monotonic() + limit + 10.0  # with the start of its worker
    finally:
        if waiting:
            os.killpg(process.pid, signal.SIGKILL)  # its workers see the closed pipe, and end
        process.wait()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that want a core all the time, while the block lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(15.0 if count else 0.0)  # what the kernel tells of the last ten seconds
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
        time.sleep(15.0 if count else 0.0)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | dict(settings)


def _list(words: str) -> list[str]:
    return [word.strip() for word in words.split(",")]


if __name__ == "__main__":
    main()
