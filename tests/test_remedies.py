"""What errors and notices advise: each command, flag and key exists, and the advice helps.

The first tests read every text of the source; the others provoke errors, follow their remedies
through the parser and the checks before a study, and expect that the error is gone.
"""

import re
import shlex
import shutil
import sqlite3
import tomllib
from contextlib import chdir, closing
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from follow_remedies import attempt, run
from remedy_texts import Text, commands_in, flags_in, settings_in, texts
from tunewright.cli import app
from tunewright.config.leaves import leaves
from tunewright.errors import TunewrightError
from tunewright.recipes.pairs.commands import app as pairs_app
from tunewright.recipes.pairs.data.pair_files import save_pairs
from tunewright.recipes.registry import find_recipe
from tunewright.recipes.retina.commands import app as retina_app
from tunewright.request import parse_request

RECIPES = ("compression", "flowers", "function", "longtail", "pairs", "retina")
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
FOREIGN_FLAGS = {"--upgrade", "--version", "--help", "--lr", "--no", "--nproc_per_node"} | {
    "--head",
    "--port",
    "--address",
    "--num-cpus",
}
"""Flags of pip, torchrun, `ray start`, of every program, and of the scripts in examples."""
SENTENCES = [text for text in texts() if " " in text.text and "\n" not in text.text]
"""Texts that people read; the rest are names and templates of files."""
NOT_SETTINGS = re.compile(r"PRAGMA|python -c|<|torch\.load|timm\.|\(uri=|Dialect\(|capabilities=")
"""Texts with an equals sign that are no settings: markup, SQL, Python."""


def options() -> dict[str, set[str]]:
    """The flags of every command, by its words."""
    found = {}
    for before, group in (("", app), ("pairs ", pairs_app), ("retina ", retina_app)):
        for name, command in typer.main.get_command(group).commands.items():
            flags = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
            found[before + name] = flags
    return found


OPTIONS = options()
SECTIONS = {path.partition(".")[0] for name in RECIPES for path in leaves(find_recipe(name).config)}


def recipes_of(text: Text) -> tuple[str, ...]:
    return (text.recipe,) if text.recipe in RECIPES else RECIPES


def is_key(path: str, recipe: str) -> bool:
    known = leaves(find_recipe(recipe).config)
    return (
        path in known
        or path in find_recipe(recipe).dialect.aliases
        or any(other.startswith(f"{path}.") for other in known)
        or path.removeprefix("stages.explore.") in known
    )


def test_every_command_in_a_text_exists_and_has_the_flags():
    wrong = []
    for place, _, text in SENTENCES:
        for command, words in commands_in(text):
            if command not in OPTIONS and not text[text.index(command) :].startswith("that"):
                wrong.append((place, command))
            flags = set(flags_in(words)) - FOREIGN_FLAGS
            wrong += [(place, command, flag) for flag in flags - OPTIONS.get(command, flags)]
    assert wrong == []


def test_every_flag_in_a_text_exists():
    dialects = [find_recipe(recipe).dialect for recipe in RECIPES]
    names = {name for one in dialects for name in (*one.switches, *one.expansions)}
    typed = {f"--{written}" for name in names for written in (name, name.replace("_", "-"))}
    known = set().union(*OPTIONS.values()) | FOREIGN_FLAGS | typed
    used = {(place, flag) for place, _, text in SENTENCES for flag in flags_in(text)}
    assert {(place, flag) for place, flag in used if flag not in known} == set()
    assert len(used) > 50


def test_every_setting_in_a_text_is_a_key():
    wrong = []
    for text in SENTENCES:
        if NOT_SETTINGS.search(text.text):
            continue
        for path, _ in settings_in(text.text):
            ours = path.partition(".")[0] in SECTIONS or "skip_bad" in path or "overwrite" in path
            if ours and not any(is_key(path, recipe) for recipe in recipes_of(text)):
                wrong.append((text.place, path))
    # Errors of pictures are shared; `pairs embed` puts its own option in the place of this key.
    assert [one for one in wrong if "encoders/embed.py" not in one[0]] == []


def test_every_extra_in_a_text_exists():
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    named = {name for one in SENTENCES for name in re.findall(r"tunewright\[(\w+)\]", one.text)}
    trackers = {"mlflow", "tensorboard", "wandb"}  # a tracker's extra has its name
    assert named | trackers <= {*extras}
    assert named >= {"cmaes", "dashboard", "onnx", "postgresql"}


def literal_settings() -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    """Settings with a value that is written out, by where they stand and for which recipes."""
    found = {}
    for text in SENTENCES:
        for path, value in settings_in(text.text):
            value = value.strip(".:'\")")
            section = path.partition(".")[0]
            written = value and not re.search(r"[A-Z]{2}|^N$|[\[{(\"']", value)
            if written and section in SECTIONS and "." in path:
                found[path, value] = text.place, recipes_of(text)
    return found


@pytest.mark.parametrize(("path", "value"), list(literal_settings()))
def test_every_value_in_a_text_is_taken(path, value):
    place, recipes = literal_settings()[path, value]
    section, _, last = path.rpartition(".")
    refused = []
    switched = ["data.multi_label=true"] if "multi_label" in place else []
    for recipe in recipes:
        found = leaves(find_recipe(recipe).config).get(path)
        kinds = found.kinds.get(section, ()) if found is not None and last != "type" else ()
        words = [*switched, *([f"{section}.type={kinds[0]}"] if kinds else [])]
        if section in ("executor.ray", "executor.slurm"):  # read by the executor of that name alone
            words.append(section.replace(".", ".type="))
        try:
            parse_request([recipe, *words, f"{path}={value}"], command="tune")
            return
        except TunewrightError as error:
            refused.append(str(error))
    pytest.fail(f"{place} advises {path}={value}: {refused}")


def applied(words: list[str], advice: str) -> list[str]:
    """Return the words with one setting of an advice in the place of what was typed."""
    path = advice.partition("=")[0]
    group = path.removesuffix(".type")
    kept = [word for word in words if word.partition("=")[0] not in (path, group)]
    return [*kept, advice]


PROVOKED = [
    # Several settings joined by " and " belong together; others are tried one by one.
    "pairs stages.explore.training.epochs=5 study.pruner.min_resource=9",
    "pairs stages.explore.training.epochs=3 study.pruner.type=hyperband "
    "study.pruner.min_resource=7",
    "pairs model.type=siglip model.num_heads=4",
    "pairs loss.type=sigmoid loss.queue_size=64",
    "pairs optim=sgd optim.beta1=.9",
    "pairs loss={type: sigmiod}",
    "pairs schedule=cosin",
    "pairs training.epoch=3",
    "pairs training.warmup_epochs=3",
    "pairs study.sampler.type=cmaes",
    "pairs data.train=trian",
    "pairs goal=val_recal_1",
    "compression data.crop=100",
    "compression data.crop=64 loss=ms_ssim",
    "compression data.crop=64 goal=val_ms_ssim",
    "compression goal=val_ms_ssim",
    "compression loss=ms_ssim",
    "compression loss.lmbda=9",
    "compression loss.lmbda=.9 model.type=hyperprior data.crop=64",
    "compression loss=ms_ssim data.crop=256 loss.lmbda=.013",
    "compression model.size=base",
    "longtail loss.type=focal loss.alpha=[1,2]",
    "longtail loss.type=logit_adjustement",
    "longtail data.fold=9",
    "longtail loss.type=focal loss.tau=1",
    "flowers augmentation=mediun model.pretrained=false",
    "flowers training=foc",
    "flowers training.keep_last_n=3",
    "flowers model=swin_transformer model.pretrained=false",
    "pairs optim.type=adamm",
    "compression goal=val_psnr data.crop=100",
    "pairs optim.lrr=.1",
    "pairs optim=adamx",
    "pairs loss.temperatur=.1",
    "pairs schedule.type=cosine_warmup",
    "pairs study.sampler.type=gridd",
    "pairs executor.type=locale",
    "pairs goal=val_t2i_recal_1",
    "pairs study.sampler.type=cma_es",
    "pairs training.precison=fp32",
    "pairs training.precision=fp31",
    "pairs data.valid=vla",
    "pairs optim=muon",
    "pairs trackers.mlflw={}",
    "pairs seeed=3",
    "pairs model.type=mlpp",
    "pairs model.type=mlp model.num_heads=4",
    "pairs study.patients=3",
    "pairs study.pruner.type=asha stages.explore.training.epochs=1",
    "pairs study.pruner.type=median study.pruner.warmup_steps=99",
    "longtail model.name=resnet5O",
    "longtail loss=focal loss.alpha=[1,2,3]",
    "longtail augmentation=strnog",
    "flowers model.name=efficentnet_b0 model.pretrained=false",
    "flowers data.resize=sqash",
    "flowers goal=val_accuracy_top_1",
    "compression model.type=hyperpriorr",
    "compression loss.lmbda=.0131 data.crop=64",
    "compression optim=cautious data.crop=64",
    "compression data.crops_per_foto=2",
    "compression goal=val_psrn data.crop=64",
    "compression data.dirr=x",
    "retina model.vision=resnet5",
]


@pytest.mark.parametrize("line", PROVOKED)
def test_the_advice_of_an_error_helps(line, tmp_path):
    words = shlex.split(line) if "{" not in line else line.split(" ", 1)
    with pytest.raises(TunewrightError) as refused:
        attempt(words, tmp_path)
    error = refused.value
    advice = (error.remedy or error.expected).replace(", or ", " or ")
    found = [f"{path}={value.strip('.')}" for path, value in settings_in(advice)]
    if guess := re.search(r"Did you mean '([^']+)'", advice):
        wrong = next(w for w in words[1:] if near(w, error.came))
        found = [wrong.replace(mistyped(wrong, guess[1]), guess[1], 1)]
        words = [word for word in words if word != wrong]
    assert found, advice
    together = " and ".join(found) in advice
    for settings in [found] if together else alternatives(advice, found):
        mended = words
        if "alone" in advice and settings[0].endswith("type=none"):
            mended = [word for word in words if not word.startswith("study.pruner.")]
        for setting in settings:
            mended = applied(mended, setting)
        attempt(mended, tmp_path)


def alternatives(advice: str, found: list[str]) -> list[list[str]]:
    """Settings that stand side by side belong together; `or` and `;` part them."""
    parts = re.split(r" or |;|, more", advice)
    return [kept for part in parts if (kept := [one for one in found if one in part])]


def near(word: str, came: str) -> bool:
    path, _, value = word.partition("=")
    return path in came or value in came or path.rpartition(".")[2] in came


def mistyped(word: str, guess: str) -> str:
    """Return the part of a setting that a guess stands for: its key, or its value."""
    path, _, value = word.partition("=")
    return path if "." in guess else re.findall(r"\w+", value)[-1]


def damage_database() -> None:
    Path("runs/study/study.db").write_bytes(b"no database" * 500)


def lose_the_database() -> None:
    Path("runs/study/study.db").unlink()


def empty_the_settings() -> None:
    Path("runs/study/study.yaml").write_text("")


def lose_a_trial() -> None:
    with closing(sqlite3.connect("runs/study/study.db")) as connection, connection:
        connection.execute("DELETE FROM trials WHERE number = 0")


REPAIR = "repair runs/study"
COMMANDS = {
    # What is typed, what happens before, the commands advised; whether the first one works then.
    "a study as a run": (
        "train --resume runs/study", None, ["tune --resume runs/study"], False
    ),
    "a trial as a run": (
        "train --resume runs/study/trials/00000", None,
        ["tune --resume runs/study", "train runs/study/trials/00000/config.yaml"], False,
    ),
    "fewer epochs": (
        "train --resume run training.epochs=3", None,
        ["train runs/run/config.yaml training.epochs=3"], False,
    ),
    "an unknown trial": ("analyze study --trial 99", None, ["analyze study"], False),
    "a damaged database": ("analyze study", damage_database, [REPAIR], True),
    "a lost trial": ("analyze study", lose_a_trial, [REPAIR], True),
    "a lost database": ("tune --resume study", lose_the_database, [REPAIR], True),
    "an empty study.yaml": (
        "analyze study", empty_the_settings, ["analyze runs/study/study.db"], False
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with a study of two trials and a run of four epochs."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        inline = ("executor.type=inline", "training.epochs=4")
        run("tune", "quadratic", *inline, "--trials", "2", "--name", "study", "study.final=false")
        run("train", "quadratic", *inline, "--name", "run")
    return folder


@pytest.mark.parametrize("case", COMMANDS)
def test_the_commands_of_an_error_run(case, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    line, before, commands, helps = COMMANDS[case]
    if before is not None:
        before()
    with pytest.raises(TunewrightError) as refused:
        run(*shlex.split(line))
    advice = refused.value.remedy.replace(f"{Path.cwd()}/", "")
    for command in commands:
        assert f"tunewright {command}" in advice
        run(*shlex.split(command))
    if helps:
        run(*shlex.split(line))


def test_the_examples_of_constraints_and_storages(tmp_path):
    with pytest.raises(TunewrightError) as refused:
        attempt(["pairs", "study.constraints=['size_mb<10']"], tmp_path)
    example = refused.value.remedy.removeprefix("For example ").rstrip(".")
    attempt(["pairs", example], tmp_path)
    for storage in ("study.db", "elephant://x"):
        with pytest.raises(TunewrightError, match=r"sqlite:///study\.db") as refused:
            attempt(["pairs", f"study.storage={storage}"], tmp_path)
        assert "Bring the storage back" not in str(refused.value)


def test_the_flags_that_pairs_split_and_embed_advise(tmp_path):
    for name, ids in (("all", range(20)), ("few", [90, 90, 91, 91])):
        matrix = np.arange(3.0 * len(ids), dtype=np.float32).reshape(-1, 3) + ids[0]
        save_pairs(tmp_path, name, matrix, matrix, {"image_ids": [*ids]})

    def split(*words: str) -> None:
        command = ["split", str(tmp_path), "--output", str(tmp_path / "sets"), *words]
        result = CliRunner().invoke(pairs_app, command)
        if result.exception is not None:
            raise result.exception

    split()
    with pytest.raises(TunewrightError, match="--overwrite"):
        split()
    split("--overwrite")
    with pytest.raises(TunewrightError, match=r"--fractions to 0, such as \.8,\.2,0"):
        split("--name", "few", "--overwrite")
    split("--name", "few", "--overwrite", "--fractions", ".8,.2,0")
    with pytest.raises(TunewrightError, match=r"--fractions 0\.5,0,0\.5"):
        split("--valid", "few", "--overwrite", "--fractions", ".5,.2,.3")
    split("--valid", "few", "--overwrite", "--fractions", "0.5,0,0.5")
    with pytest.raises(TunewrightError, match="--by groups"):
        split("--by", "metadata", "--overwrite")

    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"<html>")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "pictures" / "b.png")
    (tmp_path / "table.csv").write_text("file,text\na.png,red\nb.png,blue\n", encoding="utf-8")
    words = ["embed", *(str(tmp_path / name) for name in ("pictures", "table.csv"))]
    words += ["--output", str(tmp_path / "embedded")]
    result = CliRunner().invoke(pairs_app, words)
    assert "with --skip-bad" in str(result.exception)
    assert "skip_bad=true" not in str(result.exception)
