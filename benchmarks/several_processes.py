"""How fast one trial trains on two processes of one thread, beside one process of two threads.

The same step on the same rows, so the ratio is what dividing a trial costs or saves on a CPU. An
arm trains once in a warm process (`job.run`, its ranks kept); its figure is the seconds of an epoch
after the first, from the run's own reports, validation included. Above 1, two processes are faster.

    python benchmarks/several_processes.py [--rounds N] [--cases pairs,longtail,...]

Nothing else should run meanwhile; the load is printed and kept.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rounds import again, ratio, run_rounds, save

from tunewright import job
from tunewright.config.compose import compose
from tunewright.executors.thread_waits import ThreadWaits
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.search.prepare import run_part
from tunewright.training.ranks.team import RankTeam

SAME = ("training.precision=fp32", "training.layout=contiguous", "training.compile=never")
CASES: Mapping[str, tuple[str, Sequence[str]]] = {
    "pairs, a linear head": ("pairs", ("training.epochs=3",)),
    "pairs, an MLP of 1024": (
        "pairs",
        ("model=mlp", "model.hidden_dim=1024", "training.epochs=2", "training.batch_size=512"),
    ),
    "longtail": ("longtail", ("training.epochs=3",)),
    "compression": ("compression", ("training.epochs=2", "data.crops_per_photo=16")),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default=",".join({recipe for recipe, _ in CASES.values()}))
    given = parser.parse_args()
    wanted = given.cases.split(",")
    found = {}
    team = RankTeam(job.serve_rank)
    try:
        for case, (recipe, words) in CASES.items():
            if recipe in wanted:
                found[case] = _measure(case, recipe, words, given.rounds, team)
    finally:
        team.close()
    command = f"python benchmarks/several_processes.py --rounds {given.rounds}"
    save("several_processes", command, None, cases=found)


def _measure(
    case: str, recipe: str, words: Sequence[str], rounds: int, team: RankTeam
) -> Mapping[str, object]:
    arms = {
        "one process, 2 threads": partial(_epoch_seconds, recipe, words, 1, team),
        "2 processes, a thread each": partial(_epoch_seconds, recipe, words, 2, team),
    }
    one, two = arms
    measured = run_rounds(arms, rounds=rounds, null=one)
    speed = ratio(measured, one, two, "seconds")
    null = ratio(measured, one, again(one), "seconds")
    print(f"{case}: 2 processes are {speed} times as fast as one (one against itself: {null})")
    return {
        "speed": speed,
        "null": null,
        "seconds": {arm: measured.median(arm, "seconds") for arm in arms},
        "loads": [entry.load_before for entry in measured.rounds],
    }


def _epoch_seconds(
    recipe: str, words: Sequence[str], processes: int, team: RankTeam
) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place) / "run")
        folder.write_config(run_part(compose(find_recipe(recipe), [*SAME, *words]).tree))
        folder.begin_attempt()
        with ThreadWaits(os.environ).watch(2 // processes):  # as workers do
            outcome = job.run(folder, threads=2, processes=processes, team=team)
        assert outcome.state == "done", outcome.reason
        seconds = [report.seconds for report in read_progress(folder.progress)]
    return {"seconds": (seconds[-1] - seconds[0]) / (len(seconds) - 1)}


if __name__ == "__main__":
    main()
