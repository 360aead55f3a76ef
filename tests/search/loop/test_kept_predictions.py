"""Which trials keep their validation predictions, within a bound on disk."""

import pytest

from tunewright.config.compose import compose
from tunewright.errors import ConfigError
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import StudyFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.loop.best_checkpoint import BestWeights
from tunewright.search.loop.kept_predictions import KeptPredictions
from tunewright.search.prepare import prepare

NOTHING = StudyRecord("s", "longtail", "a", "max", ())
MIB = 2**20


def trial(number, score, state="done"):
    return Trial(number, state, {}, score, {})


def written(folder, number, size=MIB // 2, name=""):
    run = folder.trial(number) if not name else folder.trial(number).by_seed(int(name))
    run.path.mkdir(parents=True, exist_ok=True)
    run.predictions.write_bytes(b"\0" * size)


def kept(folder):
    return sorted(int(path.parent.name) for path in folder.trials.glob("*/*.safetensors"))


def judged(folder, trials, mib, record=NOTHING):
    found = KeptPredictions(folder, record, mib)
    for one in trials:
        written(folder, one.number)
        found.judge(one)
    return kept(folder)


def test_the_least_promising_go_first(tmp_path):
    trials = [trial(n, score) for n, score in enumerate((0.3, 0.9, 0.1, 0.5, 0.7))]
    assert judged(StudyFolder(tmp_path), trials, 1.5) == [1, 3, 4]


def test_less_may_be_better(tmp_path):
    trials = [trial(n, score) for n, score in enumerate((0.3, 0.9, 0.1))]
    record = StudyRecord("s", "longtail", "loss", "min", ())
    assert judged(StudyFolder(tmp_path), trials, 1.0, record) == [0, 2]


def test_what_did_not_finish_keeps_none(tmp_path):
    trials = [trial(0, 0.5), trial(1, None, "pruned"), trial(2, None, "failed")]
    assert judged(StudyFolder(tmp_path), trials, 9.0) == [0]


def test_without_a_bound_nothing_is_touched(tmp_path):
    assert judged(StudyFolder(tmp_path), [trial(0, None, "failed")], 0.0) == [0]


def test_seeds_count_together_and_a_resume_knows_the_former_trials(tmp_path):
    folder = StudyFolder(tmp_path)
    written(folder, 0)
    written(folder, 0, name="43")
    written(folder, 1)
    record = StudyRecord("s", "longtail", "a", "max", (trial(0, 0.9), trial(1, 0.5)))
    KeptPredictions(folder, record, 1.2)
    assert kept(folder) == [0]
    assert folder.trial(0).by_seed(43).predictions.exists()


def test_one_that_is_over_the_bound_alone_keeps_none(tmp_path):
    assert judged(StudyFolder(tmp_path), [trial(0, 0.5)], 0.1) == []


def test_several_trials_may_keep_their_weights(tmp_path):
    folder = StudyFolder(tmp_path)
    found = BestWeights(folder, NOTHING, 2)
    for one in [trial(n, score) for n, score in enumerate((0.3, 0.9, 0.1, 0.5))]:
        folder.trial(one.number).checkpoints.mkdir(parents=True)
        found.judge(one)
    left = [n for n in range(4) if folder.trial(n).checkpoints.exists()]
    assert left == [1, 3]
    assert found.best.number == 1


@pytest.mark.parametrize(("asked", "kept"), [("5", True), ("0", False)])
def test_trials_are_told_to_keep_them(tmp_path, asked, kept):
    recipe = find_recipe("longtail")
    composed = compose(recipe, [f"study.keep_predictions_mib={asked}"])
    prepared = prepare(recipe, composed, given=None, runs=tmp_path)
    assert prepared.explore["training"]["keep_predictions"] is kept


def test_a_recipe_without_a_classifier_says_so(tmp_path):
    recipe = find_recipe("pairs")
    composed = compose(recipe, ["study.keep_predictions_mib=5"])
    with pytest.raises(ConfigError, match="pairs has no classifier"):
        prepare(recipe, composed, given=None, runs=tmp_path)
