"""SLURM's commands: what a job asks for, its states, and what is refused before a trial begins."""

import json
import os
from pathlib import Path

import fake_slurm
import pytest

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.executors.batch.job_system import JobState
from tunewright.executors.batch.slurm import Slurm
from tunewright.executors.factory import EXECUTORS, ExecutorRequest
from tunewright.executors.resources import Share, share
from tunewright.recipes.registry import find_recipe


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-in's jobs, which all wait in the queue."""
    fake_slurm.install(tmp_path / "bin")
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/hold").touch()
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "slurm"


def executor_section(*words: str) -> ExecutorConfig:
    return compose(find_recipe("pairs"), ["executor.type=slurm", *words]).config.executor


def make(config: ExecutorConfig, folder: Path, slots: int = 2):
    machine = Share(slots, 1, (), "")
    return EXECUTORS[config.type](ExecutorRequest(config, machine, lambda: None, folder=folder))


def words_of(place: Path, job: str) -> dict[str, str]:
    return json.loads((place / f"{job}.json").read_text())["words"]


def test_a_job_asks_for_what_is_configured(place: Path, tmp_path: Path) -> None:
    config = executor_section(
        "executor.slurm.partition=main",
        "executor.slurm.account=lab",
        "executor.slurm.qos=high",
        "executor.slurm.gres='gpu:a100:1'",
        "executor.slurm.cpus_per_task=6",
        "executor.slurm.mem_gib=12.5",
        "executor.slurm.walltime=1h30m",
        "executor.slurm.notice=2m",
        "executor.slurm.constraint=fast",
        "executor.slurm.array_parallelism=2",
        "executor.slurm.setup=[module load cuda, 'export A=b']",
        "executor.slurm.additional={reservation: mine}",
    )
    executor = make(config, tmp_path / "study", slots=3)
    words = words_of(place, "1_0")
    expected = {
        "partition": "main", "account": "lab", "qos": "high", "gres": "gpu:a100:1",
        "cpus-per-task": "6", "mem": "12800M", "time": "90", "signal": "B:USR2@120",
        "constraint": "fast", "array": "0-2%2", "reservation": "mine", "requeue": "",
        "job-name": "tunewright",
    }  # fmt: skip
    assert {name: words.get(name) for name in expected} == expected
    script = json.loads((place / "1_0.json").read_text())["script"]
    assert script.index("module load cuda\nexport A=b") < script.index("submitit.core._submit")
    executor.close()
    assert {json.loads(p.read_text())["state"] for p in place.glob("*.json")} == {"CANCELLED by 0"}


def test_one_worker_is_a_job_of_its_own_with_whole_gpus(place: Path, tmp_path: Path) -> None:
    executor = make(executor_section("executor.slurm.gpus=2"), tmp_path / "study", slots=1)
    words = words_of(place, "1")
    assert words["gpus-per-node"] == "2"
    assert "array" not in words
    executor.close()


def test_what_sbatch_says_is_passed_on_before_a_trial(place: Path, tmp_path: Path, capfd) -> None:
    config = executor_section("executor.slurm.partition=nope")
    with pytest.raises(ConfigError, match=r"invalid partition specified: nope.*sinfo"):
        make(config, tmp_path / "study")
    assert capfd.readouterr().err == ""


def test_a_machine_without_slurm_is_told_where_to_go(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"has no sbatch.*login node.*executor\.type=local_jobs"):
        make(executor_section(), tmp_path / "study")


def test_a_python_function_is_refused(place: Path, tmp_path: Path) -> None:
    request = ExecutorRequest(
        executor_section(), Share(1, 1, (), ""), lambda: None, print, tmp_path
    )  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a Python function"):
        EXECUTORS["slurm"](request)


def test_states_come_from_squeue_then_from_sacct(place: Path, tmp_path: Path) -> None:
    slurm = Slurm(executor_section().slurm, tmp_path / "jobs")
    one, two = slurm.submit([tmp_path / "w1", tmp_path / "w2"])
    other = slurm.submit([tmp_path / "w3"])[0]
    assert (one, two, other) == ("1_0", "1_1", "2")
    waiting = JobState("waiting")
    assert slurm.states([one, other]) == {one: waiting, other: waiting}
    slurm.cancel([two])
    ended = JobState("ended", "its job 1_1 was cancelled")
    assert slurm.states([one, two]) == {one: waiting, two: ended}
    (place / "forgetful").touch()
    assert slurm.states([one, two]) == {one: waiting, two: ended}
    slurm.cancel([one, other])


def test_no_answer_is_no_state(place: Path, tmp_path: Path, monkeypatch) -> None:
    slurm = Slurm(executor_section().slurm, tmp_path / "jobs")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.states(["1"]) == {}


@pytest.mark.parametrize(
    ("word", "stage", "reason", "memory"),
    [
        ("RUNNING", "running", "", False),
        ("COMPLETING", "running", "", False),
        ("REQUEUED", "waiting", "", False),
        ("COMPLETED", "ended", "", False),
        ("CANCELLED by 1000", "ended", "its job 4_1 was cancelled", False),
        ("NODE_FAIL", "ended", "the node of its job 4_1 failed", False),
        ("OUT_OF_MEMORY", "ended", "its job 4_1 exceeded its memory", True),
        ("TIMEOUT", "ended", "the time of its job 4_1 was over", False),
        ("PREEMPTED", "ended", "its job 4_1 was preempted", False),
    ],
)
def test_the_words_of_slurm(place, tmp_path, word, stage, reason, memory) -> None:
    (place / "4_1.json").write_text(json.dumps({"state": word}))
    slurm = Slurm(executor_section().slurm, tmp_path / "jobs")
    assert slurm.states(["4_1"]) == {"4_1": JobState(stage, reason, memory)}
    assert JobState(stage, reason, memory).death.out_of_memory == memory


def test_a_word_of_a_later_slurm_is_no_state(place: Path, tmp_path: Path) -> None:
    (place / "4.json").write_text(json.dumps({"state": "LEVITATING"}))
    assert Slurm(executor_section().slurm, tmp_path / "jobs").states(["4"]) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["executor.slurm.walltime=1m"], "at least twice the notice"),
        (["executor.slurm.gpus=1", "executor.slurm.gres=gpu:1"], "either gpus or gres"),
        (["executor.slurm.additional={time: 5}"], "without time"),
        (["executor.slurm.walltime=soon"], "a time such as"),
        (["executor.type=local", "executor.slurm.qos=a"], r"slurm\.qos only with"),
        (["executor.type=local", "executor.slurm.walltime=1h"], r"slurm\.walltime only with"),
        (["executor.type=local_jobs", "executor.slurm.gpus=1"], r"slurm\.gpus only with"),
    ],
)
def test_contradictions_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        executor_section(*words)


def test_local_jobs_have_a_walltime_too() -> None:
    config = executor_section("executor.type=local_jobs", "executor.slurm.walltime=2h")
    assert config.slurm.walltime == 7200.0


def test_workers_of_a_cluster_are_not_counted_by_this_machine() -> None:
    config = executor_section("executor.slurm.cpus_per_task=6")
    assert (share(config, None).slots, share(config, None).threads) == (4, 6)
    assert share(config, 40).slots == 40
    assert share(executor_section(), 2).threads == 1
