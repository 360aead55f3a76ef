"""What is seen while a study runs: never wider or higher than the terminal, plain elsewhere."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tunewright.cli.options import console
from tunewright.cli.output.live_view import LiveView, Working
from tunewright.cli.output.results import print_evaluation
from tunewright.cli.output.screen import ScreenCallback
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Trial
from tunewright.search.callbacks import StudyProgress
from tunewright.search.evaluate_run import Evaluation

PARAMETERS = {"model.type": "siglip", "optim.lr": 0.000312, "training.batch_size": 512}
BEST = Trial(7, "done", PARAMETERS, 0.4321, {1: 0.4, 12: 0.4321}, seconds=3.2)
STANDING = StudyProgress(
    stage="explore",
    total=40,
    ended=12,
    running=2,
    pruned=5,
    failed=1,
    best=BEST,
    left_seconds=200.0,
    done=6,
    live=(13, 14),
    metric="val_score",
)
PRUNED = Trial(11, "pruned", PARAMETERS, None, {2: 0.1}, reason="not among the best 1/2 at rung 2")
FAILED = Trial(
    9, "infeasible", PARAMETERS, None, {}, "out of memory", "CUDA out of memory", seconds=1.0
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def drawn(view: LiveView, width: int, height: int) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    with console.capture() as capture:
        console.print(view)
    return capture.get().splitlines()


def busy(workers: int = 2, standing: StudyProgress = STANDING) -> LiveView:
    view = LiveView(clock=Clock(), standing=standing, estimated=1000.0)
    for number in range(13, 13 + workers):
        view.working[number] = Working(PARAMETERS, "worker 0", 988.0, 3, 8, 0.3456)
    view.recent.extend([FAILED, PRUNED])
    return view


@pytest.mark.parametrize("width", [80, 100, 120])
def test_all_of_a_study_is_in_view(width: int) -> None:
    text = "\n".join(drawn(busy(), width, 24))
    for part in (
        "explore", "12/40 trials", "about 3 min left", "6 done", "5 pruned", "1 failed",
        "2 running", "0.4321", "trial 7", "13", "3/8", "12 s", "0.3456", "model=siglip",
        "pruned 11  not among the best 1/2 at rung 2",
        "infeasible 9  out of memory: CUDA out of memory",
    ):  # fmt: skip
        assert part in text, part


def test_the_use_of_the_machine_is_in_view() -> None:
    view = busy()
    assert not any("usage" in line for line in drawn(view, 100, 24))
    usage = {"data_wait": 0.031, "gpu_utilization": 0.87, "gpu_memory_mib": 3174.0}
    view.working[13].usage = usage
    lines = drawn(view, 120, 24)
    [head] = [line for line in lines if "score" in line]
    [first] = [line for line in lines if "data wait 3%, GPU 87%, 3.1 GiB" in line]
    assert head.index("usage") == first.index("data wait")
    assert head.index("parameters") == first.index("model=siglip")
    screen = ScreenCallback(console())
    screen.view.epoch, screen.view.trained = (2, 9), "val_score 0.5"
    screen.on_usage(None, {"data_wait": 0.5})
    assert "  val_score 0.5  data wait 50%" in drawn(screen.view, 100, 24)


@given(
    width=st.integers(20, 200),
    height=st.integers(2, 60),
    workers=st.integers(0, 40),
    total=st.integers(1, 100_000),
    left=st.none() | st.floats(0.0, 1e6),
    name=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=300),
)
def test_no_line_wraps_and_no_row_too_many(width, height, workers, total, left, name) -> None:
    best = replace(BEST, parameters={name or "x": name}, interval=(0.41, 0.45))
    standing = replace(STANDING, total=total, left_seconds=left, best=best)
    lines = drawn(busy(workers, standing), width, height)
    assert 1 <= len(lines) <= max(1, height - 1)
    console = Console(width=width)
    assert all(console.measure(line).maximum <= width for line in lines)


def test_the_bar_keeps_its_width_at_80_columns() -> None:
    [bar, *_] = drawn(busy(), 80, 24)
    assert bar.count("━") + bar.count("─") >= 20
    assert bar.endswith("about 3 min left")


def test_more_workers_than_rows_are_counted() -> None:
    lines = drawn(busy(workers=30), 80, 12)
    assert len(lines) <= 11
    assert any("more" in line for line in lines)


def test_an_interval_stands_beside_the_best_score() -> None:
    best = replace(BEST, interval=(0.41, 0.4567))
    assert any(
        "0.4321 (0.41 to 0.4567)" in line
        for line in drawn(busy(standing=replace(STANDING, best=best)), 80, 24)
    )


def test_the_time_left_goes_down_between_two_estimates() -> None:
    view = busy()
    view.clock.now = 1120.0  # type: ignore[attr-defined]
    assert any("about 80 s left" in line for line in drawn(view, 80, 24))


def watched(*, terminal: bool) -> tuple[ScreenCallback, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out, width=80, force_terminal=terminal, highlight=False, color_system=None
    )
    return ScreenCallback(console), out


def play(watch: ScreenCallback) -> None:
    with watch:
        watch.notice("2 workers [as asked]")
        watch.on_trial_start(7, PARAMETERS, "worker 0")
        watch.on_report(7, 1, 12, {"val_score": 0.3}, lambda: STANDING)
        watch.on_trial_end(BEST, STANDING)
        watch.on_trial_end(PRUNED, STANDING)
        watch.on_trial_end(FAILED, STANDING)
        watch.on_epoch(3, 50, {"val_score": 0.5, "train_loss": 1.0}, 6.0)


def test_elsewhere_there_are_plain_whole_lines() -> None:
    watch, out = watched(terminal=False)
    play(watch)
    assert "\x1b" not in out.getvalue()
    lines = out.getvalue().splitlines()
    assert "note 2 workers [as asked]" in lines
    assert any("best so far  model=siglip  lr=0.000312  batch_size=512" in line for line in lines)
    assert any("out of memory: CUDA out of memory" in line for line in lines)


def test_a_dumb_terminal_gets_lines(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    watch, out = watched(terminal=True)
    play(watch)
    assert "\x1b" not in out.getvalue()


def test_colour_is_left_out_on_request(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    play(ScreenCallback(Console(file=out, force_terminal=True, width=80, highlight=False)))
    assert "\x1b[3" not in out.getvalue(), "a colour"


def test_the_region_is_gone_at_the_end_also_after_an_error() -> None:
    watch, out = watched(terminal=True)

    def fail() -> None:
        with watch:
            watch.on_trial_start(7, PARAMETERS, "worker 0")
            watch.on_trial_end(BEST, STANDING)
            assert out.getvalue().count("\x1b[?25l") == 1, "the region is drawn"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("explore"), "cursor is back"
    erased = out.getvalue().rpartition("explore")[2].count("\x1b[2K")
    assert erased >= 3, "each line of the region is erased"


@pytest.mark.parametrize("text", ["runs/[red]/x", "[/]", "\\[b]x[/b]", "a:smile:b", "ends with \\"])
def test_a_text_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    screen = console()
    with ScreenCallback(screen) as watch:
        watch.notice(text)
        watch.on_trial_end(replace(BEST, parameters={"x": text}), STANDING)
    print_evaluation(screen, Evaluation(RunFolder(Path(text)), {**EVALUATED, "notes": [text]}))
    printed = capsys.readouterr().out
    assert printed.count(text) == 4, printed


EVALUATED = {"split": "test", "metrics": {"score": 0.5}, "files": ["predictions.csv"]}


def test_early_stopping_makes_the_time_left_a_bound():
    for patience, said in ((None, "about 27 s left"), (5, "at most 27 s left")):
        screen = ScreenCallback(Console(file=io.StringIO(), width=100))
        screen.on_training_start(patience)
        screen.on_epoch(1, 10, {"val_loss": 0.5}, 3.0)
        assert said in str(screen.view.lines(100, 4)[0])
    screen.on_training_left(12.0, at_most=False)  # the end is estimated
    screen.on_epoch(2, 10, {"val_loss": 0.5}, 6.0)
    assert "about 12 s left" in str(screen.view.lines(100, 4)[0])
    bound = LiveView(standing=replace(STANDING, at_most=True))
    assert "at most" in str(bound.lines(100, 4)[0])
