"""The folder is the protocol: who may say what, and when it counts."""

import pytest

from tunewright.errors import DataError
from tunewright.runs.folder import LARGEST_GAP, RunFolder, StudyFolder, without_strays
from tunewright.runs.record import EndRequest, Outcome


def test_a_configuration_is_stored_and_read(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.write_config({"optim": {"lr": 1e-4}}, header="trial 3")
    assert folder.config.read_text() == "# trial 3\noptim:\n  lr: 0.0001\n"
    assert folder.read_config() == {"optim": {"lr": 1e-4}}


def test_a_folder_without_a_configuration_is_no_run(tmp_path):
    with pytest.raises(DataError, match=r"holds no config\.yaml: expected a run folder"):
        RunFolder(tmp_path).read_config()


def test_an_outcome_counts_for_its_own_attempt_only(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.attempt == 0
    first = folder.begin_attempt()
    assert folder.read_outcome() is None
    outcome = Outcome("done", first, best_step=2, metrics={"val": 0.5}, seconds=3.0)
    folder.write_outcome(outcome)
    assert folder.read_outcome() == outcome
    second = folder.begin_attempt()
    assert (first, second) == (1, 2)
    assert folder.read_outcome() is None
    folder.write_outcome(outcome)  # the first worker was slow to die
    assert folder.read_outcome() is None


def test_an_outcome_stores_finite_metrics_only(tmp_path):
    folder = RunFolder(tmp_path)
    metrics = {"a": 1.0, "b": float("nan"), "c": float("inf")}
    folder.write_outcome(Outcome("failed", folder.begin_attempt(), "diverged", metrics=metrics))
    assert folder.read_outcome().metrics == {"a": 1.0}


def test_a_request_is_for_one_attempt(tmp_path):
    folder = RunFolder(tmp_path)
    attempt = folder.begin_attempt()
    assert folder.read_request(attempt) is None
    request = EndRequest("prune", attempt, "below the others")
    folder.write_request(request)
    assert folder.read_request(attempt) == request
    assert folder.read_request(attempt + 1) is None
    assert folder.begin_attempt() == attempt + 1
    assert folder.read_request(attempt) is None


def test_trials_lie_under_their_five_digits(tmp_path):
    study = StudyFolder(tmp_path)
    assert study.trial(74) == RunFolder(tmp_path / "trials" / "00074")
    assert study.final.path == tmp_path / "final"


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [
        ([], set()),
        ([2, 0], {0, 2}),
        ([5, LARGEST_GAP + 5, LARGEST_GAP + 3 * LARGEST_GAP], {5, LARGEST_GAP + 5}),
        ([10**12], set()),
    ],
)
def test_numbers_far_above_the_others_are_no_trials(numbers, kept):
    assert without_strays(numbers) == kept
