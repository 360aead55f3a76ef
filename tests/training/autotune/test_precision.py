"""bf16 on a CPU: only where it is native, and a step has products enough."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tunewright import job
from tunewright.config.compose import compose
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import run_part
from tunewright.training.autotune import precision
from tunewright.training.autotune.precision import WORK, cpu_precision

LARGE = nn.Linear(1024, 512, device="meta")
ROWS = WORK // (1024 * 512)


@pytest.mark.parametrize(
    ("native", "rows", "expected"),
    [(True, ROWS, "bf16"), (True, ROWS - 1, "no"), (False, ROWS, "no")],
)
def test_bf16_needs_a_cpu_that_has_it_and_a_step_with_work(
    monkeypatch: pytest.MonkeyPatch, native: bool, rows: int, expected: str
) -> None:
    monkeypatch.setattr(precision, "native_bf16", lambda: native)
    assert cpu_precision(LARGE, rows) == expected


def test_weights_that_are_not_trained_and_vectors_are_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "native_bf16", lambda: True)
    frozen = nn.Linear(1024, 512, device="meta").requires_grad_(False)
    assert cpu_precision(frozen, ROWS) == "no"
    assert cpu_precision(nn.LayerNorm(1024 * 512, device="meta"), ROWS) == "no"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has its own rule")
@pytest.mark.parametrize(("work", "written"), [(1, "bf16"), (1 << 60, "fp32")])
def test_the_choice_is_written_into_the_run_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: int, written: str
) -> None:
    monkeypatch.setattr(precision, "native_bf16", lambda: True)
    monkeypatch.setattr(precision, "WORK", work)
    folder = RunFolder(tmp_path)
    folder.write_config(run_part(compose(find_recipe("blobs")).tree))
    folder.begin_attempt()
    outcome = job.run(folder, redirect=False)
    assert outcome.state == "done", outcome.reason
    assert folder.read_config()["training"]["precision"] == written


def test_asking_the_cpu_answers() -> None:
    assert precision.native_bf16() in (True, False)
