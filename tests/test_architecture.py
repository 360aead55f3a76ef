"""The rules of the house that a machine can hold."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

import tunewright

SOURCE = Path(tunewright.__file__).parent
FLOORS = (
    ("", "__main__"),  # the face of the package: `tunewright.tune` and the others
    ("cli",),
    ("request", "deliver"),
    ("typed_arguments",),
    ("search",),
    ("executors",),
    ("job",),
    ("recipes",),
    ("classification", "contrastive"),
    ("images",),
    ("reports",),
    ("training",),
    ("analysis",),
    ("spaces",),
    ("config",),
    ("runs",),
    ("registry", "result", "clients"),
    ("stand_ins",),
    ("errors", "client"),
)
"""From the roof down; names on one line are neighbours, which do not know each other."""

DOORS = {
    "optuna": (
        "search/study/",
        "search/storage/",
        "search/recovery/",
        "search/transfer/external_storage.py",
        "search/transfer/stored_trials.py",
        "search/transfer/publish.py",
    ),
    "constriction": ("recipes/compression/codec/coder.py",),
    "hydra": ("config/compose.py", "config/overrides.py"),
    "lmdb": ("images/databases/",),
    "matplotlib": ("reports/picture_files.py",),
    "jinja2": ("reports/pages/page.py",),
    "plotly": ("reports/",),
    "accelerate": ("training/trainer.py",),
    "mlflow": ("training/trackers/mlflow.py",),
    "pillow_heif": ("images/sources/heic.py",),
    "lightning": ("clients/lightning_trainer.py",),
    "pynvml": ("training/usage/gpu.py",),
    "ray": ("executors/ray_cluster/ray_door.py",),
    "submitit": ("executors/batch/submitit_door.py",),
    "transformers": ("recipes/retina/models/bert.py", "clients/transformers_trainer.py"),
    "wandb": ("training/trackers/wandb.py",),
}
OPTIONAL = {
    "lightning": ["lightning"],
    "lmdb": ["lmdb"],
    "mlflow": ["mlflow"],
    "onnxruntime": ["onnxruntime"],
    "pillow_heif": ["pillow-heif"],
    "pynvml": ["nvidia-ml-py"],
    "ray": ["ray"],
    "sentence_transformers": ["sentence-transformers"],
    "submitit": ["submitit"],
    "transformers": ["transformers"],
    "wandb": ["wandb"],
}
"""The packages of extras that the source imports, and their distributions, installed or not."""
MOST_MODULES = 15
"""What a folder holds at most; a reader takes in no more names at once."""
NAMELESS = ("util", "utils", "common", "helper", "helpers", "misc", "base", "manager")
TORCH_FREE = (
    "tunewright.errors",
    "tunewright.registry",
    "tunewright.result",
    "tunewright.analysis",
    "tunewright.cli",
    "tunewright.config",
    "tunewright.deliver",
    "tunewright.classification.delivery.prediction_form",
    "tunewright.classification.models.config",
    "tunewright.classification.losses.class_weights",
    "tunewright.classification.losses.config",
    "tunewright.classification.metrics.class_groups",
    "tunewright.classification.metrics.confusion_scores",
    "tunewright.classification.metrics.intervals",
    "tunewright.classification.models.timm_info",
    "tunewright.classification.models.timm_query",
    "tunewright.classification.models.pretrained",
    "tunewright.images.dataset.config",
    "tunewright.images.dataset.datasets",
    "tunewright.images.dataset.splits",
    "tunewright.images.databases",
    "tunewright.images.dataset.unreadable",
    "tunewright.images.loading.placement",
    "tunewright.images.loading.store",
    "tunewright.images.progress",
    "tunewright.images.sources.open_source",
    "tunewright.reports",
    "tunewright.runs",
    "tunewright.spaces",
    "tunewright.training.trackers",
    "tunewright.search",
    "tunewright.recipes.compression.codec.container",
    "tunewright.recipes.capabilities",
    "tunewright.recipes.registry",
    "tunewright.recipes.recipe",
    "tunewright.recipes.compression.balance.gamma",
    "tunewright.recipes.compression.balance.gamma_config",
    "tunewright.recipes.compression.config",
    "tunewright.recipes.compression.data.embedded",
    "tunewright.recipes.compression.config_checks",
    "tunewright.recipes.compression.lambdas",
    "tunewright.recipes.compression.data.photo_sizes",
    "tunewright.recipes.compression.data.photo_store",
    "tunewright.recipes.compression.data.photos",
    "tunewright.recipes.compression.recipe",
    "tunewright.client",
    "tunewright.recipes.command",
    "tunewright.stand_ins",
    "tunewright.recipes.function",
    "tunewright.recipes.pairs.commands",
    "tunewright.recipes.pairs.config",
    "tunewright.recipes.pairs.recipe",
    "tunewright.recipes.pairs.data.array_files",
    "tunewright.recipes.pairs.data.datasets",
    "tunewright.recipes.pairs.data.digits",
    "tunewright.recipes.pairs.data.groups",
    "tunewright.recipes.pairs.data.pair_checks",
    "tunewright.recipes.pairs.data.pair_files",
    "tunewright.recipes.pairs.data.split",
    "tunewright.recipes.pairs.data.torch_archive",
    "tunewright.recipes.pairs.encoders.embed",
    "tunewright.recipes.retina.checks",
    "tunewright.recipes.retina.config",
    "tunewright.recipes.retina.commands",
    "tunewright.recipes.retina.data.datasets",
    "tunewright.recipes.retina.data.lmdb_build",
    "tunewright.recipes.retina.data.lmdb_verify",
    "tunewright.recipes.retina.evaluation.ranking_scores",
    "tunewright.recipes.retina.evaluation.zero_shot_prompts",
    "tunewright.recipes.retina.models.encoder_names",
    "tunewright.recipes.retina.models.word_tokenizer",
    "tunewright.recipes.retina.recipe",
)


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def name_of(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(file: Path) -> tuple[str, ...]:
    """The modules that a file imports anywhere, also inside functions and for types only."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide where they lead"
            names = [f"tunewright.{alias.name}" for alias in node.names]
            yield from names if node.module == "tunewright" else [str(node.module)]


def floor(module: str) -> int:
    top = module.removeprefix("tunewright").strip(".").partition(".")[0]
    return next((height for height, names in enumerate(FLOORS) if top in names), len(FLOORS))


def test_every_module_has_a_floor():
    rooms = {file.relative_to(SOURCE).parts[0].removesuffix(".py") for file in files()}
    assert rooms - {name for names in FLOORS for name in names} <= {"__init__", "testing"}


def test_imports_go_down():
    climbing = [
        f"{name_of(file)} imports {module}"
        for file in files()
        if not name_of(file).startswith("tunewright.testing")
        for module in imports(file)
        if module.startswith("tunewright") and floor(module) < floor(name_of(file))
    ]
    assert climbing == []


def test_nothing_that_runs_leans_on_the_test_kit():
    leaning = [
        name_of(file)
        for file in files()
        if not name_of(file).startswith("tunewright.testing")
        and any(module.startswith("tunewright.testing") for module in imports(file))
    ]
    assert leaning == []


def test_recipes_do_not_know_each_other():
    folders = {f.parent.name for f in (SOURCE / "recipes").glob("*/__init__.py")}
    meddling = [
        f"{name_of(file)} imports {module}"
        for folder in folders
        for file in (SOURCE / "recipes" / folder).rglob("*.py")
        for module in imports(file)
        for other in folders - {folder}
        if f"{module}.".startswith(f"tunewright.recipes.{other}.")
    ]
    assert meddling == []


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_dependency_has_one_door(package):
    users = [
        file.relative_to(SOURCE).as_posix()
        for file in files()
        if any(module.split(".")[0] == package for module in imports(file))
    ]
    assert users
    assert [user for user in users if not user.startswith(DOORS[package])] == []


READERS = {
    "client.py": "what the study wrote for it; it has the standard library alone",
    "runs/documents/json_text.py": "the one reader of JSON, with its limits",
    "runs/documents/yaml_text.py": "the one reader of YAML, with its limits",
    "search/storage/bulk_read.py": "attributes of trials, as Optuna reads them",
    "search/study/compatibility.py": "what it wrote itself on the same line",
    "search/study/optuna_types.py": "choices, accepted only where they are what it would write",
    "runs/machine/child_process.py": "the answer of a process that it started",
}
"""The files that call a YAML or JSON reader, and what they read."""


def test_what_comes_from_outside_is_read_within_limits():
    """The one reader knows its limits; any other call needs a reason in the list."""
    names = {"load", "loads", "load_all", "safe_load", "full_load", "unsafe_load", "compose"}
    names |= {"raw_decode", "parse", "scan"}
    calling = {
        file.relative_to(SOURCE).as_posix()
        for file in files()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in names
        and isinstance(node.value, ast.Name)
        and node.value.id in {"yaml", "json", "OmegaConf"}
    }
    assert calling == READERS.keys()


def test_what_is_imported_is_declared():
    """A package that comes along with another one leaves when that one no longer needs it."""
    packages = packages_distributions() | OPTIONAL
    used = {m.split(".")[0] for f in files() for m in imports(f)} - {"tunewright", "__future__"}
    foreign = used - sys.stdlib_module_names
    declared = declared_distributions()
    assert {n for n in foreign if declared.isdisjoint(map(canonical, packages[n]))} == set()


def test_what_is_declared_is_used():
    packages = packages_distributions()
    used = {m.split(".")[0] for f in files() for m in imports(f)}
    needed = {canonical(d) for name in used for d in packages.get(name, ())}
    assert declared_distributions(extras=False) - needed == set()


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def declared_distributions(extras: bool = True) -> set[str]:
    """The distributions of pyproject.toml, by their canonical names."""
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    lines = list(project["project"]["dependencies"])
    if extras:
        lines += chain(*project["project"]["optional-dependencies"].values())
    return {canonical(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines}


def test_a_folder_can_be_taken_in_at_once():
    counts = Counter(file.parent for file in files() if file.stem != "__init__")
    assert {str(folder): n for folder, n in counts.items() if n > MOST_MODULES} == {}


def test_no_files_import_each_other_in_a_circle():
    """Also lazily, inside functions: a circle is one idea in several files."""
    modules = {name_of(file): file for file in files()}
    graph = {
        name: {
            target
            for target in imported_modules(file, modules)
            if target not in (name, "tunewright")  # the face imports lazily
        }
        for name, file in modules.items()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_class_name_stands_for_one_thing():
    modules = defaultdict(list)
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(name_of(file))
    assert {name: where for name, where in modules.items() if len(where) > 1} == {}


def imported_modules(file: Path, modules: Collection[str]) -> Iterator[str]:
    """The modules of the package that a file imports from, at the depth of files."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else str(node.module)


def test_a_file_is_named_for_its_idea():
    assert [file for file in files() if file.stem in NAMELESS] == []


def test_the_number_wing_imports_without_torch():
    wing = [
        name_of(file)
        for file in files()
        if f"{name_of(file)}.".startswith(tuple(f"{module}." for module in TORCH_FREE))
    ]
    assert {m for m in TORCH_FREE if not any(f"{name}.".startswith(f"{m}.") for name in wing)} == (
        set()
    ), "moved or removed"
    code = f"""
import importlib, sys
sys.modules["torch"] = None
for name in {wing!r}:
    importlib.import_module(name)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
