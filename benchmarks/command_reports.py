"""How long it takes to read 100,000 lines that a script reports, and how much memory that needs.

A real script is run as a trial is, in this process. Arms: lines of pairs, JSON lines, a CSV file
that grows, and the client. Time is that of the whole run but the script's own, which it prints as
`took`. Memory is what the process holds at its peak more than after a run of 1,000 lines.

    python benchmarks/command_reports.py [--quick]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rounds import run_rounds, save

LIMIT_SECONDS, LIMIT_MIB = 2.0, 32.0
SCRIPTS = {
    "pairs": "print(f'step={i} loss={1 / i:.9f} acc={i}')",
    "json": 'print(f\'{{"step": {i}, "loss": {1 / i:.9f}, "acc": {i}}}\')',
    "csv": "file.write(f'{i},{1 / i:.9f},{i}\\n')",
    "client": "tw.report(i, loss=1 / i, acc=i)",
}
SCRIPT = """
import os, sys, time
import tunewright.client as tw
began = time.process_time()
file = open(os.environ["TUNEWRIGHT_RUN_DIR"] + "/metrics.csv", "w")
file.write("step,loss,acc\\n")
for i in range(1, int(sys.argv[1]) + 1):
    {line}
file.close()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a trial run; writes no result")
    parser.add_argument("--arm", choices=list(SCRIPTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(read(options.arm, options.lines)))
        return

    def own(name: str):
        words = [sys.executable, __file__, "--arm", name, "--lines", str(options.lines)]

        def run() -> dict[str, float]:
            done = subprocess.run(words, text=True, capture_output=True)
            if done.returncode != 0:
                raise SystemExit(f"the arm {name} failed:\n{done.stderr[-3000:]}")
            return json.loads(done.stdout.splitlines()[-1])

        return run

    rounds = 1 if options.quick else options.rounds
    measured = run_rounds({name: own(name) for name in SCRIPTS}, rounds=rounds, warm_ups=0)
    seconds = {name: measured.median(name, "cpu_seconds") for name in SCRIPTS}
    mib = {name: max(measured.values(name, "mib")) for name in SCRIPTS}
    met = max(seconds.values()) <= LIMIT_SECONDS and max(mib.values()) <= LIMIT_MIB
    for name in SCRIPTS:
        print(f"{name:<8} {seconds[name]:5.2f} s CPU, {mib[name]:5.1f} MiB more")
    print(f"limits {LIMIT_SECONDS:g} s, {LIMIT_MIB:g} MiB: {'met' if met else 'missed'}")
    if not options.quick:
        print(
            save(
                "command_reports",
                "python benchmarks/command_reports.py",
                measured,
                what=f"reading {options.lines:,} reports of a script",
                cpu_seconds=seconds,
                wall_seconds={n: measured.median(n, "wall_seconds") for n in SCRIPTS},
                mib_more=mib,
                limits={"cpu_seconds": LIMIT_SECONDS, "mib": LIMIT_MIB},
                verdict="met" if met else "missed",
            )
        )


def read(name: str, lines: int) -> dict[str, float]:
    """Run the script once with few lines, then with many."""
    from tunewright.training.memory.peak import held_memory, reset_mark

    with tempfile.TemporaryDirectory() as place:
        attempt(name, 1000, Path(place) / "few")
        before = held_memory()
        reset_mark()
        wall, cpu = time.perf_counter(), time.process_time()
        attempt(name, lines, Path(place) / "many")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        after = held_memory()
    assert before is not None
    assert after is not None
    more = after.highest_mib - before.private_mib - before.mapped_mib
    return {"cpu_seconds": cpu, "wall_seconds": wall, "mib": max(0.0, more)}


def attempt(name: str, lines: int, place: Path) -> None:
    from tunewright import job
    from tunewright.runs.atomic import write_yaml
    from tunewright.runs.folder import RunFolder

    place.mkdir()
    (place / "script.py").write_text(SCRIPT.replace("{line}", SCRIPTS[name]))
    folder = RunFolder(place)
    config = {
        "recipe": "command",
        "goal": "acc:max",
        "command": [sys.executable, str(place / "script.py"), str(lines)],
        "metrics": {"file": "{run_dir}/metrics.csv"} if name == "csv" else {},
    }
    write_yaml(folder.config, config)
    folder.begin_attempt()
    outcome = job.run(folder)
    assert outcome.best_step == lines, outcome
    assert outcome.metrics["acc"] == lines


if __name__ == "__main__":
    main()
