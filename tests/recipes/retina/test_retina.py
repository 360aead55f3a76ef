"""`retina` as a whole: steps in micro-batches, class vectors, warm-up, goals, flags."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import tunewright
from tunewright.config.components.schedules import ConstantSchedule, CosineSchedule, LinearSchedule
from tunewright.config.compose import compose
from tunewright.errors import ConfigError, UsageError
from tunewright.recipes.registry import find_recipe
from tunewright.recipes.retina.checks import check
from tunewright.recipes.retina.config import RetinaConfig
from tunewright.recipes.retina.evaluation.zero_shot import ClassPrompts, class_vectors
from tunewright.recipes.retina.models.word_tokenizer import WordTokenizer, words_of
from tunewright.recipes.retina.setup import make_setup
from tunewright.request import parse_request
from tunewright.runs.progress import read_progress
from tunewright.testing.tasks import plain_context
from tunewright.training.checkpoint import read_best
from tunewright.training.schedule import factor
from tunewright.training.task import Clock, Setup

CPU = torch.device("cpu")
SMALL = ("data.image_size=32", "model.embed_dim=16", "model.text_width=16")


def configured(*words: str) -> RetinaConfig:
    config = compose(find_recipe("retina"), [*SMALL, *words]).config
    assert isinstance(config, RetinaConfig)
    return config


def setup(*words: str) -> Setup:
    torch.manual_seed(0)
    return make_setup(configured(*words), CPU)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (CosineSchedule, (2e-8, 5e-6, 1e-5, 5e-6, 1.0966223103481278e-11)),
        (LinearSchedule, (2e-8, 5e-6, 1e-5, 5e-6, 6.666666666667e-9)),
        (ConstantSchedule, (2e-8, 5e-6, 1e-5, 1e-5, 1e-5)),
    ],
)
def test_the_schedule_has_the_published_values(schedule: Any, rates: tuple[float, ...]) -> None:
    section = schedule(warmup_steps=500)
    found = [1e-5 * factor(section, Clock(0, s, 1, 2000)) for s in (0, 249, 499, 1250, 1999)]
    assert found == pytest.approx(rates, rel=1e-9)


def test_micro_batches_make_the_step_of_the_whole_batch() -> None:
    """With a vision transformer: batch norm normalises by micro-batch."""
    words = ("model.vision=test_vit", "data.image_size=32", "training.batch_size=12")
    one, many = setup(*words), setup(*words, "training.accumulate=3")
    (whole, *_), parts = list(one.train.epoch(0)), list(many.train.epoch(0))[:3]
    expected = one.task.backward(one.model, [whole], plain_context(one.model))
    found = many.task.backward(many.model, parts, plain_context(many.model))
    assert found.total.item() == pytest.approx(expected.total.item(), rel=1e-5)
    assert found.terms["chance"].item() == pytest.approx(expected.terms["chance"].item())
    theirs = dict(many.model.named_parameters())
    for name, parameter in one.model.named_parameters():
        if parameter.grad is not None:
            assert torch.allclose(theirs[name].grad, parameter.grad, atol=2e-4), name


def test_batch_norm_counts_a_micro_batch_once() -> None:
    made = setup("training.batch_size=12", "training.accumulate=2")
    made.model.train()
    norm = next(m for m in made.model.modules() if isinstance(m, nn.BatchNorm2d))
    seen = []
    norm.register_forward_hook(lambda *_: seen.append(norm.running_mean.clone()))
    made.task.backward(made.model, list(made.train.epoch(0))[:2], plain_context(made.model))
    first, second, third, _ = seen
    assert torch.equal(first, second)
    assert not torch.equal(second, third)


def test_only_the_patient_branch_is_trained_where_asked() -> None:
    made = setup("loss.branches=patient", "training.batch_size=8")
    made.task.backward(made.model, [next(iter(made.train.epoch(0)))], plain_context(made.model))
    trained = {n for n, p in made.model.named_parameters() if p.grad is not None}
    assert any(name.startswith("image_maps.patient") for name in trained)
    assert not any(".left" in name or ".right" in name for name in trained)


def test_frozen_encoders_stay_as_they_are() -> None:
    made = setup("model.freeze_vision=true", "training.batch_size=8", "training.accumulate=2")
    before = {k: v.clone() for k, v in made.model.image_encoder.state_dict().items()}  # type: ignore[operator,union-attr]
    made.model.train()
    made.task.on_epoch(made.model, Clock(0, 0, 1, 1))
    batches = list(made.train.epoch(0))[:2]
    made.task.backward(made.model, batches, plain_context(made.model))
    after = made.model.image_encoder.state_dict()  # type: ignore[operator,union-attr]
    assert all(torch.equal(before[name], after[name]) for name in before)
    groups = made.task.param_groups(made.model)
    trained = {id(parameter) for group in groups for parameter in group.parameters}
    frozen = {id(parameter) for parameter in made.model.image_encoder.parameters()}  # type: ignore[union-attr,operator]
    assert not trained & frozen


def test_a_class_vector_is_the_normalised_mean_of_unit_vectors() -> None:
    made = setup()
    made.model.eval()
    tokens = torch.randint(3, 20, (5, 7))
    prompts = ClassPrompts(tokens, torch.tensor([0, 1, 0, 1, 1]), 2)
    each = made.model.encode_prompts(tokens)  # type: ignore[operator]
    found = class_vectors(made.model, prompts)  # type: ignore[arg-type]
    for number, rows in enumerate(([0, 2], [1, 3, 4])):
        mean = each[rows].mean(0)
        assert torch.allclose(found[number], mean / mean.norm(), atol=1e-6)


def test_an_epoch_holds_each_patient_once() -> None:
    made = setup("training.batch_size=50")
    rows = torch.cat([batch.rows for batch in made.train.epoch(3)])
    assert len(rows) == len(rows.unique()) == 250
    valid = torch.cat([batch.rows for batch in made.valid.epoch(0)])
    assert valid.tolist() == list(range(96))


def test_mirrored_right_eyes() -> None:
    plain, turned = (
        setup("training.batch_size=4"),
        setup("training.batch_size=4", "data.mirror_right=true"),
    )
    one, other = (next(iter(made.train.epoch(0))) for made in (plain, turned))
    assert torch.equal(one.left, other.left)
    assert torch.equal(one.right.flip(-1), other.right)


def test_words() -> None:
    assert words_of("Mild DR, 2mm；黄斑") == ["mild", "dr", ",", "2mm", "；", "黄", "斑"]
    words = WordTokenizer.fit(["a b", "c a"], 3)
    assert words.encode(["a", "c z b a"]).tolist() == [[2, 3, 0], [2, 5, 1]]
    assert words.truncated(["a", "c z b a"]) == 1
    assert words.unknown(["a z"]) == ["z"]
    again = WordTokenizer.from_json(words.as_json())
    assert again.encode(["c"]).tolist() == words.encode(["c"]).tolist()


def test_a_warmup_as_long_as_the_run_is_refused_with_the_numbers() -> None:
    with pytest.raises(ConfigError) as refused:
        check(configured("warmup=500", "training.epochs=10"))
    assert "256 patients in batches of 32 are 8 steps an epoch, 80 in 10 epochs" in str(
        refused.value
    )
    assert "a warm-up of 500 steps" in str(refused.value)
    notices = check(configured("warmup=30", "training.epochs=10"))
    assert any("30 of 80 steps (38%)" in notice for notice in notices)


def test_a_warmup_is_steps_from_1_on_and_a_fraction_below() -> None:
    steps, fraction = configured("warmup=12").schedule, configured("warmup=0.25").schedule
    assert (steps.warmup_steps, fraction.warmup_steps) == (12, None)
    assert fraction.warmup_fraction == 0.25
    with pytest.raises(ConfigError, match="whole steps"):
        configured("warmup=1.5")


def test_goals_that_the_data_do_not_measure(tmp_path: Path) -> None:
    picture = Image.new("RGB", (24, 24))
    lines = ["patient_id,left_file,right_file,text"]
    for number in range(12):
        for side in ("left", "right"):
            picture.putpixel((0, 0), (number, len(side), 0))
            picture.save(tmp_path / f"p{number}_{side}.png")
        lines.append(f"p{number},p{number}_left.png,p{number}_right.png,report {number}")
    (tmp_path / "index.csv").write_text("\n".join(lines))
    words = (f"data.dir={tmp_path}", "training.batch_size=4")
    with pytest.raises(ConfigError, match=r"goal=val_recall_1"):
        check(configured(*words))
    check(configured(*words, "goal=val_recall_1", "warmup=0"))


def test_the_flags_of_the_guide() -> None:
    typed = (
        "retina --lr 1e-5 --batch-size 64 --epochs 4 --warmup 3 --wd 0.2 --temp 0.05 "
        "--learnable-temp --lr-scheduler linear --optimizer adam --vision-model ViT-B-16 "
        "--text-model small --train-data mine --train-num-samples 100 --logs there "
        "--accum-freq 2 --freeze-vision --context-length 77 --precision fp32"
    )
    request = parse_request(typed.split(), command="train")
    config = request.composed.config
    assert isinstance(config, RetinaConfig)
    assert (config.optim.lr, config.optim.type, config.optim.weight_decay) == (1e-5, "adam", 0.2)
    assert (config.training.batch_size, config.training.epochs) == (64, 4)
    assert config.training.accumulate == 2
    assert (config.schedule.type, config.schedule.warmup_steps) == ("linear", 3)
    assert (config.loss.temperature, config.loss.learns_temperature) == (0.05, True)
    assert (config.model.vision, config.model.text) == ("ViT-B-16", "small")
    assert config.model.freeze_vision
    assert (config.model.context_length, config.training.precision) == (77, "fp32")
    assert (config.data.dir, config.data.train_rows) == ("mine", 100)
    assert str(request.runs) == "there"


def test_flags_that_stand_for_several_keys() -> None:
    typed = (
        "retina --save-frequency 1 --skip-scheduler --gather-with-grad --use-augment "
        "--grad-checkpointing training.epochs=3 --mask-ratio 0.5 --max-epochs 7 --freeze-text"
    )
    config = parse_request(typed.split(), command="train").composed.config
    assert isinstance(config, RetinaConfig)
    assert config.training.keep_last == "all"
    assert (config.schedule.type, config.schedule.warmup_fraction) == ("constant", 0.0)
    assert config.augmentation.type == "light"
    assert (config.model.mask_ratio, config.model.grad_checkpointing) == (0.5, True)
    assert config.model.freeze_text
    assert config.training.epochs == 7
    plain = parse_request(["retina", "--use-augment", "false"], command="train").composed.config
    assert isinstance(plain, RetinaConfig)
    assert plain.augmentation.type == "none"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--save-frequency", "0"), "epochs, from 1 on"),
        (("--max-steps", "500"), "--max-steps is not in this version.*training.epochs"),
        (("--use-augmnt",), "Did you mean '--use-augment'"),
    ],
)
def test_flags_that_cannot_be(flags: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_request(["retina", *flags], command="train")


def test_an_unknown_encoder() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'ViT-B-16'"):
        check(configured("model.vision=ViT-B16"))
    with pytest.raises(ConfigError, match=r"tunewright\[retina\]|Did you mean"):
        check(configured("model.text=PubMedBert"))


def test_train_and_evaluate(tmp_path: Path) -> None:
    trained = tunewright.train(
        "retina", *SMALL, "training.epochs=1", "executor.type=inline", runs_dir=tmp_path
    )
    figures = tunewright.evaluate(trained.folders[0].path).figures
    assert figures["patients"] == 96
    assert 0 <= figures["metrics"]["balanced_accuracy"] <= 1
    assert figures["baselines"].keys() == {"majority class", "image-only probe", "linear probe"}
    assert figures["baselines"]["majority class"]["balanced_accuracy"] == pytest.approx(1 / 6)
    assert {row["class"] for row in figures["per_class"]} == set(figures["prompts"])
    assert all((tmp_path / "train-retina" / name).exists() for name in figures["files"])


def test_early_stopping_keeps_a_best_that_can_be_restored(tmp_path: Path) -> None:
    trained = tunewright.train(
        "retina", *SMALL, "data.train_rows=16", "data.valid_rows=16", "optim.lr=1e-9",
        "fidelity=full", "training.epochs=20", "executor.type=inline", runs_dir=tmp_path,
    )  # fmt: skip
    run = trained.folders[0]
    reports = read_progress(run.progress)
    assert len(reports) < 20
    best = trained.outcomes[0].best_step
    assert best is not None
    assert len(reports) == best + 3  # the guide's patience, which fidelity=full sets
    assert read_best(run.checkpoints / "best.safetensors").epoch == best
    measured = tunewright.evaluate(run.path, split="valid").figures["metrics"]
    expected = trained.outcomes[0].metrics["val_balanced_accuracy"]
    assert measured["balanced_accuracy"] == pytest.approx(expected, abs=1e-6)


def test_the_learning_rate_finder_sweeps_the_three_branches(tmp_path: Path) -> None:
    found = tunewright.lr_find(
        "retina", *SMALL, "data.train_rows=32", "executor.type=inline", "training.batch_size=16",
        steps=20, runs_dir=tmp_path,
    )  # fmt: skip
    assert len(found.rates) == len(found.losses)
    assert (tmp_path / "lr-find-retina" / "lr_curve.html").exists()
    assert found.losses[0] > 2 * math.log(16)  # the sum of three, each about log(16) or more
