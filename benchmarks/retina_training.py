"""A training step of `retina` against a plain loop, and an evaluation of 10,000 patients, on a CPU.

Each arm trains the same small network from the same weights on the same patients in the same order,
and only its second epoch is timed.

ours     the trainer on `EyeBatches`: uint8 pictures gathered and normalised a batch at a time, the
         tripartite task, clipping, schedule, metrics of the epoch, watching for requests
plain    the shortest loop that trains the same, on batches of floats that lie ready in memory

The evaluation scores 10,000 patients against 200 classes of one sentence each in one pass, each
number of patients in a process of its own, and its peak of memory is compared with that of 1,000:
what grows is the vectors and scores of the patients themselves.

    python benchmarks/retina_training.py [--quick]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rounds import judge, ratio, run_rounds, save
from torch import Tensor, nn
from watched import Watched

from tunewright.config.compose import compose
from tunewright.images.loading.batching import Batching
from tunewright.recipes.registry import find_recipe
from tunewright.recipes.retina.config import RetinaConfig
from tunewright.recipes.retina.data.batches import EyeBatch, EyeBatches, EyeColumns
from tunewright.recipes.retina.evaluation.zero_shot import ClassPrompts
from tunewright.recipes.retina.setup import make_model, make_setup
from tunewright.recipes.retina.task import TripartiteTask
from tunewright.runs.folder import RunFolder
from tunewright.training.reporter import Reporter
from tunewright.training.trainer import TrainingPlan, run_evaluation, train

BATCH, EPOCHS, CLASSES, THREADS, SIZE = 32, 2, 200, 2, 64
CASES = {
    "small": ("data.image_size=64",),
    "resnet18": ("model.vision=resnet18", "data.image_size=64"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one case, 2 rounds; nothing is saved")
    parser.add_argument("--evaluate", type=int, help="only evaluate so many patients, as JSON")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    if options.evaluate:
        print(json.dumps(evaluate(options.evaluate)))
        return
    rounds = 2 if options.quick else 7
    cases = ["small"] if options.quick else list(CASES)
    found: dict[str, object] = {case: compare(case, rounds) for case in cases}
    evaluated = {patients: measured(patients) for patients in (1000, 10_000)}
    grown = evaluated[10_000]["peak_mib"] - evaluated[1000]["peak_mib"]
    kept = (
        9000 * 4 * (2 * 128 + CLASSES) * 2 / 2**20
    )  # two vectors and scores, and their joined copy
    print(f"evaluation: {evaluated}, grown by {grown:.0f} MiB, what is kept: {kept:.0f} MiB")
    if not options.quick:
        facts = {"batch_size": BATCH, "threads": THREADS, "classes": CLASSES, "grown_mib": grown}
        evaluation = {str(patients): figures for patients, figures in evaluated.items()}
        path = save(
            "retina_training",
            "python benchmarks/retina_training.py",
            None,
            **facts,
            evaluation=evaluation,
            **found,
        )
        print(f"written: {path}")


def configured(words: Sequence[str]) -> RetinaConfig:
    settings = (f"training.epochs={EPOCHS}", f"training.batch_size={BATCH}", "goal=val_recall_1")
    config = compose(find_recipe("retina"), [*words, *settings]).config
    assert isinstance(config, RetinaConfig)
    return config


def compare(case: str, rounds: int) -> dict[str, object]:
    config = configured(CASES[case])
    torch.manual_seed(0)
    batches = make_setup(config, torch.device("cpu")).train
    ready = [list(batches.epoch(epoch)) for epoch in range(EPOCHS)]
    patients = BATCH * len(ready[0])
    print(f"-- {case}: {len(ready[0])} steps of {BATCH} patients, {SIZE} pixels")
    losses: dict[str, float] = {}

    def ours() -> dict[str, float]:
        seconds, losses["ours"] = by_trainer(config)
        return {"patients_per_s": patients / seconds}

    def plain() -> dict[str, float]:
        seconds, losses["plain"] = by_hand(config, ready)
        return {"patients_per_s": patients / seconds}

    measured_rounds = run_rounds({"ours": ours, "plain": plain}, rounds=rounds, null="ours")
    print("last losses: " + ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()))
    ratios = {
        "ours over plain": ratio(measured_rounds, "ours", "plain", "patients_per_s"),
        "ours over ours": ratio(measured_rounds, "ours again", "ours", "patients_per_s"),
    }
    verdict = judge(ratios["ours over plain"], at_least=0.97)
    for name, said in {**ratios, "at least 0.97x a plain loop": verdict}.items():
        print(f"{name}: {said}")
    return {
        "median_patients_per_s": {
            arm: measured_rounds.median(arm, "patients_per_s") for arm in ("ours", "plain")
        },
        "last_losses": losses,
        "ratios": ratios,
        "at least 0.97x a plain loop": verdict,
        "first_calls": measured_rounds.first_calls,
        "rounds": measured_rounds.rounds,
    }


def by_trainer(config: RetinaConfig) -> tuple[float, float]:
    """Seconds of the last epoch, and its mean loss."""
    torch.manual_seed(0)
    setup = make_setup(config, torch.device("cpu"))
    loader = Watched(setup.train)
    setup = setup.__class__(setup.model, setup.task, loader, FewPatients(setup.valid))
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        reporter = Reporter(folder, folder.begin_attempt())
        try:
            train(setup, TrainingPlan(config, "val_recall_1", "max"), reporter, folder)
        finally:
            reporter.close()
        [*_, last] = [json.loads(line) for line in folder.progress.read_text().splitlines()]
    return loader.seconds, float(last["metrics"]["train_loss"])


class FewPatients:
    """The first batch of a loader: a validation that takes no time."""

    def __init__(self, loader: EyeBatches) -> None:
        self.batch = next(iter(loader.epoch(0)))

    def __len__(self) -> int:
        return 1

    def epoch(self, epoch: int) -> list[EyeBatch]:
        return [self.batch]


def by_hand(config: RetinaConfig, ready: Sequence[Sequence[EyeBatch]]) -> tuple[float, float]:
    torch.manual_seed(0)
    setup = make_setup(config, torch.device("cpu"))
    model, task = setup.model, setup.task
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=config.optim.lr, weight_decay=config.optim.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(ready[0]))
    seconds, total = 0.0, torch.zeros(())
    for batches in ready:
        model.train()
        total = torch.zeros(())
        began = time.perf_counter()
        for batch in batches:
            loss = task.loss(model, batch).total
            loss.backward()
            if config.training.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), config.training.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            model.clamp_()
            total += loss.detach()
        seconds = time.perf_counter() - began
    return seconds, float(total / len(ready[0]))


def measured(patients: int) -> dict[str, float]:
    """What `evaluate` returns in a process of its own."""
    command = [sys.executable, __file__, "--evaluate", str(patients)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def evaluate(patients: int) -> dict[str, float]:
    """Seconds of a pass with its scores, and the process's peak of memory."""
    config = configured(CASES["small"])
    classes = [f"finding{number}" for number in range(CLASSES)]
    model, tokenizer, _ = make_model(config, [f"an eye with {name}" for name in classes])
    prompts = ClassPrompts(
        torch.from_numpy(tokenizer.encode(classes)), torch.arange(CLASSES), CLASSES
    )
    task = TripartiteTask(prompts, single=True)
    loader = EyeBatches(
        columns(patients, torch.from_numpy(tokenizer.encode(classes))),
        Batching(batch_size=128, seed=0, shuffle=False, drop_last=False),
        per_eye=False,
    )
    run_evaluation(task, model, Watched(loader)).compute()  # the first call allocates
    began = time.perf_counter()
    scores = run_evaluation(task, model, loader).compute()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mib": peak, "accuracy": scores["accuracy"]}


def columns(patients: int, tokens: Tensor) -> EyeColumns:
    """Patients who share 100 drawn pictures."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.zeros(patients, CLASSES, dtype=torch.int64)
    kinds = torch.randint(CLASSES, (patients,), generator=draw)
    labels[torch.arange(patients), kinds] = 1
    return EyeColumns(
        torch.randint(256, (100, 3, SIZE, SIZE), dtype=torch.uint8, generator=draw),
        torch.randint(100, (patients, 2), generator=draw),
        tokens,
        kinds[:, None].expand(patients, 3).contiguous(),
        labels,
        torch.arange(patients),
    )


if __name__ == "__main__":
    main()
