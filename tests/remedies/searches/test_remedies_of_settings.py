"""What errors about settings, flags and names advise, typed instead of what was refused.

Nothing is trained: a command ends where its first training would begin.
"""

import hashlib
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import torch
from practice.pictures.drawn import CLASSES, draw
from safetensors.torch import save_file

from before_training import no_training  # noqa: F401
from follow_remedies import Case, follow

pytestmark = pytest.mark.slow  # each is quick, and they are many
QUADRATIC = "tune quadratic"
FLOWERS = "tune flowers data.dir=data data.image_size=16 model=small"
SEVERAL = (
    f"{FLOWERS} data.dir=several data.multi_label=true loss.type=asymmetric mixing.cutmix_alpha=0"
)
ONE_LABEL = f"{FLOWERS} loss.type=focal"
COLORNET = FLOWERS.replace("=small", ".name=colornet_v1 model.fusion=msff")
RESNET = FLOWERS.replace(
    "model=small", "model.name=resnet10t model.fusion=none model.pretrained=false"
)


def write(name: str, text: str):
    def make() -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")

    return make


def weights(name: str = "weights.safetensors", **tensors: torch.Tensor):
    return lambda: save_file(tensors or {"stem.weight": torch.zeros(3, 3)}, name)


def sha256(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


CASES = {
    # Keys and values.
    "a key that is not built": Case(
        f"{QUADRATIC} num_workers=4", "executor.threads", f"{QUADRATIC} executor.threads=4"
    ),
    "a flag that is not built": Case(
        f"{QUADRATIC} --num-workers 4", "executor.threads", f"{QUADRATIC} executor.threads=4"
    ),
    "a key that is missing": Case(
        f"{QUADRATIC} trackers.wandb.mode=offline", "", QUADRATIC
    ),
    "an unknown top": Case(
        "tune quadratic --config-dir conf --config-name mien", "Did you mean 'mine'?",
        "tune quadratic --config-dir conf --config-name mine",
        write("conf/mine.yaml", "recipe: quadratic\n"),
    ),
    "a key that is not set, taken out": Case(
        f"{FLOWERS} ~optim.lrr", "Did you mean 'optim.lr'?", f"{FLOWERS} ~optim.lr"
    ),
    "a value with brackets": Case(
        f"{QUADRATIC} 'study.name=a(b'", "key='\"a, b\"'", f"{QUADRATIC} 'study.name=\"a(b\"'"
    ),
    "a fidelity of a stage": Case(
        f"{QUADRATIC} stages.explore.fidelity=smoke", "stages.explore.training.epochs=N",
        f"{QUADRATIC} stages.explore.training.epochs=3",
    ),
    "a fidelity where there is none": Case(
        f"{QUADRATIC} fidelity=smoke", "training.epochs=N", f"{QUADRATIC} training.epochs=3"
    ),
    "a flag of a search": Case(
        "train quadratic --trials 3", "tunewright tune ... --trials 3", f"{QUADRATIC} --trials 3"
    ),
    "a flag of a search, left out": Case(
        "train quadratic --trials 3", "or leave it out", "train quadratic"
    ),
    "a folder": Case(
        "tune quadratic conf", "conf/config.yaml", "tune quadratic conf/config.yaml",
        write("conf/config.yaml", "point: {x: 1}\n"),
    ),
    # Goals, constraints, samplers.
    "a cost as the first goal": Case(
        f"{FLOWERS} goal=memory_mib", "Put another goal first",
        f"{FLOWERS} goal=[val_accuracy,memory_mib]",
    ),
    "a direction": Case(
        f"{QUADRATIC} --space study.yaml", "goal=METRIC",
        f"{QUADRATIC} --space study.yaml goal=val_loss",
        write("study.yaml", "study: {name: s, direction: minimize}\n"
              "hyperparameters: {x: {type: float, low: 0, high: 1}}\n"),
    ),
    "a constraint": Case(
        f"{QUADRATIC} \"study.constraints=['memry_mib <= 9']\"", "Did you mean 'memory_mib'?",
        f"{QUADRATIC} \"study.constraints=['memory_mib <= 9']\"",
    ),
    "a sampler": Case(
        f"{QUADRATIC} study.sampler.type=narowing", "Did you mean 'narrowing'?",
        f"{QUADRATIC} study.sampler.type=narrowing",
    ),
    "a sampler of one goal": Case(
        f"{QUADRATIC} study.sampler.type=cma_es goal=[val_score,val_loss]",
        "study.sampler.type=tpe",
        f"{QUADRATIC} study.sampler.type=tpe goal=[val_score,val_loss]",
    ),
    "a sampler of two parameters": Case(
        f"{QUADRATIC} --space one.yaml study.sampler.type=cma_es",
        "study.sampler.type=quasi_random",
        f"{QUADRATIC} --space one.yaml study.sampler.type=quasi_random",
        write("one.yaml", "inherit: false\nparameters: {x: {type: float, low: 0, high: 1}}\n"),
    ),
    "a sampler without conditions": Case(
        f"{QUADRATIC} --space when.yaml study.sampler.type=cma_es", "use study.sampler.type=tpe",
        f"{QUADRATIC} --space when.yaml study.sampler.type=tpe",
        write("when.yaml", "inherit: false\nparameters:\n  x: {type: float, low: 0, high: 1}\n"
              "  y: {type: float, low: 0, high: 1, when: {x: {above: 0.5}}}\n"),
    ),
    "a name that cannot be stored": Case(
        f"{QUADRATIC} --name 'a\udcff'", "Choose another --name", f"{QUADRATIC} --name a"
    ),
    # Models.
    "ColorNet with stochastic depth": Case(
        f"{COLORNET} model.drop_path_rate=.1", "model.dropout", f"{COLORNET} model.dropout=.1"
    ),
    "pretrained ColorNet": Case(
        f"{COLORNET} model.pretrained=true", "model.weights=FILE",
        f"{COLORNET} model.weights=weights.safetensors", weights(),
    ),
    "a hash of nothing": Case(
        f"{FLOWERS} model.sha256={'0' * 64}", "or remove model.sha256", FLOWERS
    ),
    "another hash": Case(
        f"{FLOWERS} model.weights=weights.safetensors model.sha256={'0' * 64}",
        "or correct model.sha256", f"{FLOWERS} model.weights=weights.safetensors", weights(),
    ),
    "weights that are none": Case(
        f"{FLOWERS} model.weights=weights.pt", "torch.save",
        f"{FLOWERS} model.weights=weights.pt",
        write("weights.pt", "<html>"), lambda: torch.save({"a": torch.zeros(2)}, "weights.pt"),
    ),
    "weights that are on no hub": Case(
        RESNET.replace("resnet10t", "resnet10t.never").replace("=false", "=true"), "", RESNET
    ),
    "weights that cannot be reached": Case(
        RESNET.replace("=false", "=true"), "model.pretrained=false", RESNET
    ),
    # Several labels a picture.
    "a loss of one label": Case(
        f"{SEVERAL} loss.type=focal", "loss.type=asymmetric", SEVERAL
    ),
    "cutmix of several labels": Case(
        f"{SEVERAL} mixing.cutmix_alpha=1", "Set mixing.cutmix_alpha=0", SEVERAL
    ),
    "a sampler of several labels": Case(
        f"{SEVERAL} data.weighted_sampler=true", "loss.positive_weight=3",
        f"{SEVERAL} loss.type=binary_cross_entropy loss.positive_weight=3",
    ),
    "two kinds of columns": Case(
        f"{SEVERAL} 'data.columns={{label: labels, classes: [red]}}'", "Leave out the other",
        f"{SEVERAL} 'data.columns={{label: labels}}'",
    ),
    "a goal of one label": Case(
        f"{SEVERAL} goal=val_accuracy", "goal=val_map", f"{SEVERAL} goal=val_map"
    ),
    "a loss of several labels": Case(
        f"{ONE_LABEL} loss.type=asymmetric", "Set data.multi_label=true", SEVERAL
    ),
    "a loss of several labels, left out": Case(
        f"{ONE_LABEL} loss.type=asymmetric", "leave out loss.type", FLOWERS
    ),
    "no label to measure by": Case(
        f"{SEVERAL} data.dir=unlabelled", "correct the column of splits",
        f"{SEVERAL} data.dir=unlabelled", lambda: table("unlabelled", "train", ""),
        lambda: table("unlabelled", "train", "valid"),
    ),
    "a goal that needs rare classes": Case(
        f"{FLOWERS} goal=val_tail_accuracy", "val_macro_f1", f"{FLOWERS} goal=val_macro_f1"
    ),
}  # fmt: skip


def table(folder: str, *splits: str) -> None:
    """Write a table of pictures with several labels; those of an empty split have no label."""
    Path(folder).mkdir(exist_ok=True)
    rows = ["file,labels,split" if splits else "file,labels"]
    for number in range(12):
        name = f"{number}.png"
        draw(number % 3, number).save(Path(folder, name))
        labels = CLASSES[number % 3] + (f"|{CLASSES[(number + 1) % 3]}" if number % 2 else "")
        split = splits[number % 2] if splits else None
        row = [name, labels if split != "" else "", split or "valid"]
        rows.append(",".join(row[: 2 + bool(splits)]))
    Path(folder, "index.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A folder with pictures of one class each and of several labels, and with pairs."""
    folder = tmp_path_factory.mktemp("sandbox")
    with chdir(folder):
        for label, name in enumerate(CLASSES):
            Path("data", name).mkdir(parents=True)
            for number in range(4):
                draw(label, number).save(Path("data", name, f"{number}.png"))
        table("several")
    return folder


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_setting_helps(name, sandbox, tmp_path, monkeypatch):
    shutil.copytree(sandbox, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    follow(CASES[name])
