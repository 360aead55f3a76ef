"""What a script does that is not as planned; each is a real process, run as a trial is."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from tunewright import job
from tunewright.recipes.command.launch import mark_of
from tunewright.recipes.command.process_guard import MARKER
from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import EndRequest

GOOD = "print('epoch=1 acc=0.5')\n"


@pytest.fixture
def attempt(tmp_path):
    """Run a Python script as a trial; return its folder and how it ended."""

    def run(source, *arguments, request=None, after=0.5, **settings):
        script = tmp_path / "script.py"
        script.write_text(source)
        folder = RunFolder(tmp_path / "run")
        folder.path.mkdir(exist_ok=True)
        config = {
            "recipe": "command",
            "goal": "acc:max",
            "command": [sys.executable, str(script), *arguments],
            "script": {"grace_seconds": 1.0, **settings.pop("script", {})},
            **settings,
        }
        folder.config.write_text(yaml.safe_dump(config))
        number = folder.begin_attempt()
        if request is not None:
            threading.Timer(
                after, lambda: folder.write_request(EndRequest(request, number, "asked"))
            ).start()
        return folder, job.run(folder)

    return run


def alive(marker: str) -> list[int]:
    """The processes, but zombies, with a text in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in line and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def test_binary_output(attempt):
    source = "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 50 + b'\\nacc=0.5\\n')"
    folder, outcome = attempt(source)
    assert outcome.metrics == {"acc": 0.5}
    assert bytes(range(256)) in folder.log.read_bytes()


def test_much_output_is_kept_from_both_ends(attempt):
    source = (
        "import sys\n"
        "for i in range(100):\n"
        "    sys.stdout.write(f'line {i} ' + 'x' * 1_000_000 + '\\n')\n"
        "print('acc=0.5')\n"
    )
    folder, outcome = attempt(source, script={"output_kib": 64})
    log = folder.log.read_bytes()
    assert outcome.metrics == {"acc": 0.5}
    assert len(log) < 200_000
    assert b"line 0 " in log
    assert log.endswith(b"acc=0.5\n")
    assert b"bytes of output are left out here]" in log


def test_children_that_stay_are_ended_also_in_another_session(attempt, tmp_path):
    name = f"stay-{tmp_path.name}"
    source = (
        "import subprocess, sys\n"
        f"sleep = [sys.executable, '-c', 'import time; time.sleep(60)', '{name}']\n"
        "subprocess.Popen(sleep)\n"
        "subprocess.Popen(sleep, start_new_session=True)\n"
        "print('acc=0.5', flush=True)\n"
    )
    folder, outcome = attempt(source)
    assert outcome.state == "done"
    assert alive(name) == []
    assert "left processes behind" in folder.progress.read_text()


@pytest.mark.parametrize(("kind", "state"), [("prune", "pruned"), ("pause", "paused")])
def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(attempt, tmp_path, kind, state):
    name = f"deaf-{tmp_path.name}"
    source = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal("
        f"signal.SIGTERM, signal.SIG_IGN); time.sleep(60)', '{name}'], start_new_session=True)\n"
        "print('epoch=1 acc=0.5', flush=True)\n"
        "time.sleep(60)\n"
    )
    began = time.monotonic()
    _, outcome = attempt(source, request=kind)
    assert outcome.state == state
    assert 1.0 < time.monotonic() - began < 15
    assert alive(name) == []


def test_a_script_may_save_itself_within_the_grace(attempt, tmp_path):
    saved = tmp_path / "saved"
    source = (
        "import signal, sys, time\n"
        "def save(*_):\n"
        f"    time.sleep(0.2); open({str(saved)!r}, 'w').write('x'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "print('epoch=1 acc=0.5', flush=True)\n"
        "time.sleep(60)\n"
    )
    _, outcome = attempt(source, request="pause")
    assert outcome.state == "paused"
    assert saved.exists()


def test_closed_output_ends_nothing(attempt):
    source = (
        "import os, time\n"
        "print('acc=0.5', flush=True)\n"
        "os.close(1); os.close(2)\n"
        "time.sleep(0.5)\n"
        "os._exit(3)\n"
    )
    _, outcome = attempt(source)
    assert outcome.state == "failed"
    assert "exit code 3" in outcome.reason


def test_there_is_nothing_to_read(attempt):
    _, outcome = attempt("import sys\nprint(f'acc={len(sys.stdin.read())}.5')")
    assert outcome.metrics == {"acc": 0.5}


def test_the_working_directory_is_the_users(attempt, tmp_path):
    source = (
        "import os\nprint(os.getcwd())\nos.chdir('/')\nopen(os.environ['TUNEWRIGHT_RUN_DIR'] + "
        "'/mine', 'w').close()\nprint('acc=0.5')"
    )
    here = Path.cwd()
    folder, outcome = attempt(source)
    assert outcome.state == "done"
    assert Path.cwd() == here
    assert f"\n{here}\n" in folder.log.read_text()
    assert (folder.path / "output" / "mine").exists()


def test_a_metric_once_is_enough(attempt):
    _, outcome = attempt("print('loss: 0.25')\nprint('acc = 0.75')")
    assert outcome.metrics == {"acc": 0.75, "loss": 0.25}


def test_nan_is_diverged(attempt):
    _, outcome = attempt("import time\nprint('epoch=1 acc=nan', flush=True)\ntime.sleep(60)")
    assert (outcome.state, outcome.cause) == ("failed", "diverged")
    assert outcome.reason == "acc is nan at step 1."


def test_another_metric_is_named(attempt):
    _, outcome = attempt("print('epoch=1 accc=0.5 loss=0.1')")
    assert outcome.state == "failed"
    assert "ended without acc" in outcome.reason
    assert "it reported accc, loss" in outcome.reason
    assert "Did you mean 'accc'?" in outcome.reason


def test_the_running_study_is_told_of_a_missing_goal(attempt):
    source = "for i in range(1, 6): print(f'epoch={i} accuracy=0.5', flush=True)"
    folder, _ = attempt(source)
    assert "no acc in the first 3 reports" in folder.progress.read_text()


def test_steps_that_come_back_are_left_out_and_told(attempt):
    source = (
        "for step, acc in ((1, .1), (2, .2), (1, .9), (3, .3)): print(f'step={step} acc={acc}')"
    )
    folder, outcome = attempt(source)
    assert [r.metrics["acc"] for r in read_progress(folder.progress)] == [0.1, 0.2, 0.3]
    assert (outcome.metrics["acc"], outcome.best_step) == (0.3, 3)
    assert "step 1 was reported after step 2" in folder.progress.read_text()


@pytest.mark.parametrize(("score", "expected", "step"), [("best", 0.9, 2), ("last", 0.3, 3)])
def test_the_score_is_the_best_or_the_last(attempt, score, expected, step):
    source = "for step, acc in ((1, .1), (2, .9), (3, .3)): print(f'step={step} acc={acc}')"
    _, outcome = attempt(source, metrics={"score": score})
    assert (outcome.metrics["acc"], outcome.best_step) == (expected, step)


def test_half_a_line_at_the_end_counts(attempt):
    _, outcome = attempt("import sys\nsys.stdout.write('epoch=1 acc=0.5')")
    assert outcome.metrics == {"acc": 0.5}


def test_no_metric_at_all(attempt):
    _, outcome = attempt("print('done')")
    assert outcome.state == "failed"
    assert "a line such as acc=0.93, but it reported no metric at all" in outcome.reason


def test_an_exception_is_the_reason(attempt):
    _, outcome = attempt("raise ValueError('no such file')")
    assert (outcome.state, outcome.cause) == ("failed", "error")
    assert outcome.reason == "the script ended with exit code 1: ValueError: no such file"


def test_a_signal_is_the_reason(attempt):
    _, outcome = attempt("import os\nos.kill(os.getpid(), 11)")
    assert (outcome.cause, outcome.reason) == (
        "error",
        "the script was ended by signal 11 (SIGSEGV)",
    )


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.kill(os.getpid(), 9)",
        "raise SystemExit(137)",
        "raise MemoryError",
        "raise RuntimeError('CUDA out of memory. Tried to allocate 20.00 GiB')",
    ],
)
def test_lack_of_memory_is_recognised(attempt, source):
    _, outcome = attempt(source)
    assert (outcome.state, outcome.cause) == ("failed", "out of memory")


def test_a_script_that_does_not_exist(attempt, tmp_path):
    _, outcome = attempt("", command=[str(tmp_path / "nothing")])
    assert outcome.state == "failed"
    assert "cannot be started" in outcome.reason
    assert "No such file" in outcome.reason


def test_a_script_without_permission(attempt, tmp_path):
    (tmp_path / "script.sh").write_text("#!/bin/sh\necho acc=1\n")
    _, outcome = attempt("", command=[str(tmp_path / "script.sh")])
    assert "Permission denied" in outcome.reason


def test_values_arrive_as_they_are(attempt):
    values = ["a b", "it's", 'say "x"', "two\nlines", "-x", "", "$HOME", "*", "{seed}", "é"]
    source = f"import sys\nassert sys.argv[1:] == {values!r}, sys.argv\nprint('acc=1')"
    params = {f"p{at}": value for at, value in enumerate(values)}
    places = [f"{{p{at}}}" for at in range(len(values))]
    _, outcome = attempt(source, *places, params=params)
    assert outcome.state == "done", outcome.reason


def test_values_arrive_as_they_are_through_a_shell(attempt, tmp_path):
    values = ["a b", "it's", 'say "x"', "two\nlines", "-x", "$HOME", "*"]
    source = f"import sys\nassert sys.argv[1:] == {values!r}, sys.argv\nprint('acc=1')"
    params = {f"p{at}": value for at, value in enumerate(values)}
    line = f"{sys.executable} {tmp_path}/script.py " + " ".join(f"{{{name}}}" for name in params)
    _, outcome = attempt(source, params=params, command=[line], script={"shell": True})
    assert outcome.state == "done", outcome.reason


def test_variables_of_the_environment(attempt):
    source = (
        "import os\n"
        "assert os.environ['LR'] == '0.1'\n"
        "assert os.environ['OMP_NUM_THREADS'].isdigit()\n"
        f"assert os.environ[{MARKER!r}]\n"
        "print('acc=1')"
    )
    _, outcome = attempt(source, params={"optim": {"lr": 0.1}}, env={"LR": "{optim.lr}"})
    assert outcome.state == "done", outcome.reason


def test_the_script_of_a_killed_attempt_is_ended_before_the_next(attempt, tmp_path):
    """Its worker and the guard were killed, so that nobody has ended it."""
    name = f"older-{tmp_path.name}"
    folder, _ = attempt(GOOD)
    older = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", name],
        env={**os.environ, MARKER: mark_of(RunFolder(folder.path.absolute()), 1)},
        start_new_session=True,
    )
    _, outcome = attempt(GOOD)
    assert outcome.state == "done"
    assert older.wait(5) == -signal.SIGTERM


def test_steps_count_in_the_unit_of_the_goal(attempt):
    source = (
        "for epoch in (1, 2, 3):\n"
        "    for step in range(100): print(f'step={epoch * 100 + step} loss=0.5')\n"
        "    print(f'epoch={epoch} acc={epoch / 10}', flush=True)\n"
    )
    folder, outcome = attempt(source)
    assert [r.step for r in read_progress(folder.progress)] == [1, 2, 3]
    assert outcome.metrics == {"acc": 0.3, "loss": 0.5}


RESUMES = """
import sys
import tunewright.client as tw
state = tw.checkpoint_dir() / "epoch"
begun = int(state.read_text()) if state.exists() else 0
for epoch, acc in enumerate((.1, .9, .2, .3), 1):
    if epoch <= begun:
        continue
    tw.report(epoch, acc=acc)
    state.write_text(str(epoch))
    if epoch == int(sys.argv[1]):
        sys.exit(1)
"""


@pytest.mark.parametrize(
    ("died", "score", "acc"), [(3, "best", 0.9), (4, "best", 0.9), (4, "last", 0.3)]
)
def test_a_script_that_goes_on_keeps_its_curve_and_its_best(attempt, died, score, acc):
    _, outcome = attempt(RESUMES, str(died), metrics={"score": score})
    assert outcome.state == "failed"
    folder, outcome = attempt(RESUMES, "0", metrics={"score": score})
    assert (outcome.state, outcome.metrics["acc"]) == ("done", acc)
    assert [r.step for r in read_progress(folder.progress)] == [1, 2, 3, 4]


@pytest.mark.parametrize("mode", ["w", "a"])
def test_a_metrics_file_of_an_earlier_attempt_is_no_report(attempt, mode):
    """It is written anew, or goes on below the same header."""
    source = (
        "import os, sys\n"
        "first, last, header = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]\n"
        "file = open(os.environ['TUNEWRIGHT_RUN_DIR'] + '/m.csv', sys.argv[4])\n"
        "file.write(header)\n"
        "for epoch in range(first, last + 1): file.write(f'{epoch},{epoch / first}\\n')\n"
        "file.close(); sys.exit(last != 4)"
    )
    metrics = {"file": "{run_dir}/m.csv"}
    attempt(source, "1", "3", "epoch,acc\n", "w", metrics=metrics)
    again = ("1", "4", "epoch,acc\n", "w") if mode == "w" else ("4", "4", "", "a")
    folder, outcome = attempt(source, *again, metrics=metrics)
    assert outcome.state == "done"
    assert [r.step for r in read_progress(folder.progress)] == [1, 2, 3, 4]
    assert "was reported after" not in folder.progress.read_text()


def test_a_parameter_that_the_script_never_reads_is_named(attempt):
    source = "import tunewright.client as tw\ntw.report(1, acc=tw.params()['read'])"
    params = {"read": 0.5, "optim": {"lr": 1.0}, "typed": 2}
    folder, outcome = attempt(source, "{typed}", params=params)
    assert outcome.metrics == {"acc": 0.5}
    assert "the script never read optim.lr of its parameters" in folder.progress.read_text()
