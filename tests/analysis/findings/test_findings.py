"""What a study of any shape gives: sound findings, or none, and never an error."""

import json
import math
import shlex
import warnings

import numpy as np
import pytest
import yaml

from tunewright.analysis.findings import find as module
from tunewright.analysis.findings.find import find
from tunewright.analysis.findings.finding import StudyContext
from tunewright.result import to_json
from tunewright.runs.record import Goal, StudyRecord, Trial
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.space import Parameter

SPACE = (
    Parameter("optim.lr", Float(1e-5, 1e-2, log=True)),
    Parameter("model.type", Categorical(("clip", "mlp"))),
)
OURS = StudyContext(
    recipe="longtail",
    study="runs/first",
    space_file="runs/first/space.yaml",
    pruner={"type": "asha"},
)


def study(*trials, goal="val_accuracy", others=()):
    return StudyRecord("first", "longtail", goal, "max", tuple(trials), tuple(others))


def edge_trials(count=60, seed=0, **rest):
    """Trials that get better up to the upper end of the learning rate; `mlp` is worse."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        unit, head = rng.random(), ("clip", "mlp")[int(rng.integers(2))]
        score = 0.5 + 0.3 * unit - 0.1 * (head == "mlp") + rng.normal(0, 0.01)
        values = {"optim.lr": 1e-5 * 1000**unit, "model.type": head}
        yield Trial(number, "done", values, float(score), {}, **rest)


def by_name(findings):
    return {finding.name: finding for finding in findings}


def test_the_weightiest_come_first():
    found = find(study(*edge_trials(), goal="test_accuracy"), SPACE)
    weights = [finding.weight for finding in found]
    assert weights == sorted(weights, reverse=True)
    assert found[0].name == "test_split"


def test_a_best_value_at_the_edge_comes_with_the_wider_space():
    edge = by_name(find(study(*edge_trials()), SPACE, OURS))["edge"]
    assert edge.parameters == ("optim.lr",)
    assert "100 % of the 6 best trials lie at the upper end" in edge.evidence
    comment, _, lines = edge.change.partition("\n")
    use = "tunewright tune --resume runs/first --space wider.yaml --trials 90"
    assert comment == f"# wider.yaml, for: {use}"
    assert yaml.safe_load(lines) == {
        "inherit": "runs/first/space.yaml",
        "parameters": {"optim.lr": {"low": 1e-5, "high": 0.32}},
    }


def test_optunas_lines_for_a_study_of_another_program():
    found = by_name(find(study(*edge_trials()), SPACE))
    assert found["edge"].change == "trial.suggest_float('optim.lr', 1e-05, 0.32, log=True)"
    assert found["decided"].change == "trial.suggest_categorical('model.type', ['clip'])"


@pytest.mark.parametrize(
    ("domain", "wider"),
    [
        (Float(0.1, 0.6), True),
        (Float(0.0, 1.0), False),  # a share ends at 1
        (Int(1, 9), True),
        (Int(1, 9, log=True), True),
    ],
)
def test_a_natural_end_is_not_widened(domain, wider):
    rng = np.random.default_rng(1)
    trials = []
    for number in range(60):
        value = domain.low + rng.random() * (domain.high - domain.low)
        value = round(value) if isinstance(domain, Int) else value
        unit = (value - domain.low) / (domain.high - domain.low)
        trials.append(Trial(number, "done", {"p": value}, unit + rng.normal(0, 0.03), {}))
    assert ("edge" in by_name(find(study(*trials), [Parameter("p", domain)]))) is wider


def test_a_value_that_the_configuration_refuses_is_not_proposed():
    refusing = StudyContext(**{**vars(OURS), "accepts": lambda _path, value: value <= 0.01})
    assert "edge" not in by_name(find(study(*edge_trials()), SPACE, refusing))


def test_a_decided_choice_is_fixed_in_a_new_study():
    decided = by_name(find(study(*edge_trials()), SPACE, OURS))["decided"]
    assert decided.title == "model.type = clip is decided"
    assert decided.change == (
        "tunewright tune --from runs/first --name first-fixed model.type=clip"
    )
    assert "clip 3" in decided.evidence


def test_the_commands_name_a_folder_with_odd_characters_in_quotes():
    odd = StudyContext("longtail", "runs/a b';x", "runs/a b';x/space.yaml")
    for finding in find(study(*edge_trials()), SPACE, odd):
        commands = [line for line in finding.change.splitlines() if "tunewright" in line]
        for command in commands:
            words = shlex.split(command.partition("for: ")[2] or command)
            assert "runs/a b';x" in words or any("runs/a b';x/" in word for word in words)


NAN, INF = math.nan, math.inf


def many(count, state="done", score=0.5, **values):
    return [Trial(n, state, {"x": n / 50, **values}, score, {}) for n in range(count)]


ODD = 'it\'s "q" </script><b>\n\U0001f33b'
STUDIES = {
    "empty": [],
    "one trial": many(1),
    "all failed": [
        Trial(n, "failed", {"x": n}, None, {}, "error", "nan in the loss") for n in range(20)
    ],
    "all running": many(20, "running", None),
    "constant scores": many(30),
    "infinite scores": [
        Trial(n, "done", {"x": n}, (INF, -INF, NAN, 0.5)[n % 4], {}) for n in range(40)
    ],
    "parameters that are not finite": [
        Trial(n, "done", {"x": (NAN, INF, 1.0, 2)[n % 4], "y": None}, n / 40, {}) for n in range(40)
    ],
    "values of all kinds": [
        Trial(n, "done", {"x": (1, True, "1", [1, 2], {"a": 1}, None)[n % 6]}, n % 7, {})
        for n in range(40)
    ],
    "odd names": [
        Trial(n, "done", {ODD: ODD if n % 2 else "b", "x": n / 40}, 0.9 * (n % 2) + n / 400, {})
        for n in range(40)
    ],
    "parameters in some trials": [
        Trial(n, "done", {"x": n} if n % 3 else {}, n / 40, {}) for n in range(40)
    ],
    "pruned before a report": many(30, "pruned", None),
    "curves with holes": [
        Trial(
            n,
            "pruned" if n % 2 else "done",
            {"x": n / 40},
            None if n % 2 else 0.5 + n / 99,
            {1: 0.1, 3 + n % 2: 0.2},
        )
        for n in range(60)
    ],
    "huge and tiny numbers": [
        Trial(n, "done", {"x": 10.0 ** (n * 7 - 150), "i": 10 ** (n % 20)}, 1e300 * (n % 3), {})
        for n in range(40)
    ],
    "no parameters": [Trial(n, "done", {}, n / 9, {}) for n in range(40)],
    "times set back": [
        Trial(n, "done", {"x": n}, n, {}, seconds=(0.0, 1e-9, 1e9)[n % 3], started=-1e9 * (n % 2))
        for n in range(40)
    ],
}


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("context", [StudyContext(), OURS], ids=["foreign", "ours"])
def test_any_study_gives_findings_or_none(name, context, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find(study(*STUDIES[name]), None, context)
    assert caplog.text == "", "no kind may fail"
    json.dumps(to_json(found), allow_nan=False)
    for finding in found:
        assert all((finding.title, finding.evidence, finding.size, finding.certainty))
        assert 0 <= finding.weight <= 1


def test_studies_without_results_say_nothing():
    for name in ("empty", "one trial", "all running"):
        assert find(study(*STUDIES[name]), None) == []


def test_two_goals_are_judged_by_the_first():
    goals = [Goal("seconds", "min")]
    one = by_name(find(study(*edge_trials()), SPACE))
    two = by_name(find(study(*edge_trials(others={"seconds": 1.0}), others=goals), SPACE))
    assert one["edge"] == two["edge"]


def test_200_parameters_of_noise_give_no_false_alarm(caplog):
    rng = np.random.default_rng(0)
    trials = [
        Trial(
            n,
            "done",
            {f"p{i}": float(v) for i, v in enumerate(rng.random(200))},
            float(rng.random()),
            {},
        )
        for n in range(100)
    ]
    found = by_name(find(study(*trials), None))
    assert set(found) <= {"too_few", "no_effect"}
    assert caplog.text == ""


def test_a_kind_that_fails_leaves_the_others(monkeypatch, caplog):
    def broken(_evidence):
        raise RuntimeError("a defect")

    monkeypatch.setattr(module, "KINDS", {**module.KINDS, "alike": broken})
    assert "edge" in by_name(find(study(*edge_trials()), SPACE))
    assert "the finding alike could not be computed: a defect" in caplog.text


def test_a_minimised_goal_is_read_the_other_way_round():
    trials = [Trial(t.number, t.state, t.parameters, -t.score, {}) for t in edge_trials()]
    record = StudyRecord("first", "", "loss", "min", tuple(trials))
    found = by_name(find(record, SPACE))
    assert found["edge"].parameters == ("optim.lr",)
    assert found["decided"].title == "model.type = clip is decided"


def test_never_read_is_proved_by_equal_scores():
    trials = []
    for seed, score in enumerate((0.51, 0.62, 0.57, 0.71)):
        for smoothing in (0.0, 0.1, 0.2):
            values = {"seed": seed, "smoothing": smoothing}
            trials.append(Trial(len(trials), "done", values, score, {1: score / 2, 2: score}))
    unread = by_name(find(study(*trials), None))["unread"]
    assert unread.parameters == ("smoothing",)
    trials[1] = Trial(1, "done", trials[1].parameters, 0.52, {})
    assert "unread" not in by_name(find(study(*trials), None))


def test_a_parameter_named_for_a_choice_gets_a_condition():
    rng = np.random.default_rng(0)
    trials = [
        Trial(
            n,
            "done",
            {"loss.type": ("focal", "plain")[n % 2], "loss.focal_gamma": rng.random()},
            float(rng.random()),
            {},
        )
        for n in range(60)
    ]
    unused = by_name(find(study(*trials), None, OURS))["unused"]
    assert unused.parameters == ("loss.focal_gamma",)
    fields = yaml.safe_load(unused.change)["parameters"]["loss.focal_gamma"]
    assert fields["when"] == {"loss.type": ["focal"]}


def test_out_of_memory_names_the_choice_and_leaves_it_out():
    rng = np.random.default_rng(0)
    trials = []
    for number in range(60):
        batch, lr = (16, 32, 64)[int(rng.integers(3))], float(rng.random())
        values = {"training.batch_size": batch, "optim.lr": lr}
        if batch == 64 and rng.random() < 0.9:
            reason = "CUDA out of memory"
            trials.append(Trial(number, "infeasible", values, None, {}, "out of memory", reason))
        else:
            trials.append(Trial(number, "done", values, lr, {}))
    space = [Parameter("training.batch_size", Categorical((16, 32, 64)))]
    found = by_name(find(study(*trials), space, OURS))["out_of_memory"]
    assert found.title == "trials run out of memory with training.batch_size = 64"
    assert yaml.safe_load(found.change)["parameters"] == {
        "training.batch_size": {"choices": [16, 32]}
    }


def test_a_batch_size_with_one_learning_rate():
    rng = np.random.default_rng(0)
    trials = [
        Trial(n, "done", {"training.batch_size": (16, 64)[n % 2]}, float(rng.random()), {})
        for n in range(20)
    ]
    found = by_name(find(study(*trials), None))
    assert "batch sizes 16 and 64 were compared with one learning rate" in (
        found["batch_size"].evidence
    )


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        ({"data.valid": "test", "data.test": "test"}, True),
        ({"data.valid": "val", "data.test": "test"}, False),
        ({"data.valid": None, "data.test": None}, False),
    ],
)
def test_the_validation_set_is_not_the_test_set(configuration, found):
    context = StudyContext(configuration=configuration)
    assert ("test_split" in by_name(find(study(*edge_trials()), SPACE, context))) is found


def audited_study(winners):
    """Forty trials: 10 finished, 20 pruned, 10 that were to be pruned; `winners` of these won."""
    scores = [0.9 if n < winners else 0.3 for n in range(10)]
    return study(
        *(Trial(n, "done", {"x": n / 40}, 0.5 + n / 100, {1: 0.1, 8: 0.5}) for n in range(10)),
        *(Trial(10 + n, "pruned", {"x": n / 40}, None, {1: 0.05}) for n in range(20)),
        *(
            Trial(30 + n, "done", {"x": n / 40}, score, {1: 0.05, 8: score}, audited=1)
            for n, score in enumerate(scores)
        ),
    )


def test_an_audit_says_which_share_of_the_winners_is_stopped():
    pruning = by_name(find(audited_study(5), None, OURS))["pruning"]
    assert "10 trials of 30 that were to be pruned ran on; 5 of them" in pruning.evidence
    assert pruning.change == (
        "tunewright tune --resume runs/first study.pruner.min_resource=2 --trials 60"
    )
    fine = by_name(find(audited_study(0), None, OURS))
    assert "pruning" not in fine
    assert fine["pruning_audit"].title.startswith("the pruner stops at most")


def trials_of_workers(batches, count=48, workers=4):
    """Trials of very different lengths; in batches, each waits for the slowest one before."""
    rng = np.random.default_rng(0)
    free = [0.0] * workers
    for number in range(count):
        if batches and number % workers == 0:
            free = [max(free)] * workers
        slot = int(np.argmin(free))
        seconds = float(rng.uniform(10, 200))
        yield Trial(number, "done", {"x": 0}, 0.5, {}, seconds=seconds, started=1e9 + free[slot])
        free[slot] += seconds + 0.1


def test_workers_that_wait_for_the_slowest_are_idle():
    assert "idle" not in by_name(find(study(*trials_of_workers(False)), None))
    idle = by_name(find(study(*trials_of_workers(True)), None, OURS))["idle"]
    assert idle.title.startswith("the 4 workers were idle ")
    assert idle.change.startswith("tunewright tune --resume runs/first --jobs ")
