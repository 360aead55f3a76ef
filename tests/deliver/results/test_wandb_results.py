"""W&B runs as results: the best step, and runs that ended badly."""

from pathlib import Path

from tunewright.deliver.results.read_results import read_results
from tunewright.deliver.results.search_analysis import analyze_search
from tunewright.runs.record import Goal
from wandb_log import history, integer, item, log_of, text


def stored(
    place: Path, name: str, psnrs: list[float], *, gamma: float, exit_code: int | None = 0
) -> None:
    config = {"lambda": 0.013, "gamma": gamma, "w_lr": 0.05}
    records = [
        text(17, b"".join([text(4, b"".join(text(1, item(k, v)) for k, v in config.items()))])),
        *(history(step, {"val/psnr": psnr, "bpp": 0.5}) for step, psnr in enumerate(psnrs)),
    ]
    if exit_code is not None:
        records.append(text(18, integer(1, exit_code) if exit_code else b""))
    folder = place / "wandb" / f"offline-run-{name}"
    folder.mkdir(parents=True)
    (folder / f"run-{name}.wandb").write_bytes(log_of(records))


def test_the_best_step_counts_and_a_crash_after_training_does_not_drop_a_run(
    tmp_path: Path,
) -> None:
    stored(tmp_path, "good", [20.0, 31.0, 25.0], gamma=0.001)
    stored(tmp_path, "crashed", [20.0, 30.0, 29.0], gamma=0.003, exit_code=1)
    stored(tmp_path, "killed", [20.0, 30.0, 30.5], gamma=0.01, exit_code=None)
    stored(tmp_path, "early", [20.0], gamma=0.003, exit_code=None)
    found = analyze_search(read_results(tmp_path), Goal("psnr", "max"))
    cells = found.rankings[0].cells
    assert [(cell.parameters["gamma"], cell.mean, cell.badly) for cell in cells] == [
        (0.001, 31.0, 0),
        (0.01, 30.5, 1),
        (0.003, 30.0, 1),
    ]
    notices = "\n".join(found.notices)
    assert "the step with the best psnr counts, not the last one: step 1 to 2" in notices
    assert "psnr is read from val/psnr" in notices
    assert "offline-run-early was killed at step 0, others reach 2: left out" in notices
    assert "ended with exit code 1; it counts" in notices


def test_a_foreign_run_is_left_out(tmp_path: Path) -> None:
    stored(tmp_path, "ours", [30.0], gamma=0.001)
    folder = tmp_path / "wandb" / "offline-run-other"
    folder.mkdir()
    records = [text(5, text(1, item("lr", 0.1))), history(0, {"psnr": 50.0})]
    (folder / "run-other.wandb").write_bytes(log_of([*records, text(18, b"")]))
    found = analyze_search(read_results(tmp_path), Goal("psnr", "max"))
    assert found.runs == 1
    assert any("has no gamma or w_lr: left out" in notice for notice in found.notices)
