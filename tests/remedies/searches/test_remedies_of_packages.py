"""What errors about packages advise: those that are missing, damaged, or offer the same twice.

A package is a folder of the test: it is installed by being put on the path.
"""

import importlib
import importlib.util
import re
import shutil
import socket
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from before_training import no_training  # noqa: F401
from follow_remedies import Case, follow, run
from tunewright import registry
from tunewright.classification.delivery.export import need_onnx
from tunewright.config.dialect import Dialect
from tunewright.deliver.dashboard import dashboard
from tunewright.errors import ConfigError, TunewrightError, UsageError
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.registry import find_recipe
from tunewright.search.storage.urls import with_driver
from tunewright.search.study.samplers import SAMPLERS

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
TUNE = "tune quadratic"


@pytest.fixture
def install(tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Return a function that installs a package with a text and the entry points it offers."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    made = []

    def write(name: str, text: str = "", *, group: str = "", points: str = "") -> None:
        (site / name).mkdir(exist_ok=True)
        (site / name / "__init__.py").write_text(text)
        if points:
            described = site / f"{name}-1.dist-info"
            described.mkdir(exist_ok=True)
            (described / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
            )
            (described / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
        made.append(name)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        registry._plugins.cache_clear()

    yield write
    for name in made:
        sys.modules.pop(name, None)
    registry._plugins.cache_clear()


def uninstall(name: str) -> None:
    """Take a package off the path."""
    for place in sys.path:
        shutil.rmtree(Path(place, name), ignore_errors=True)
        shutil.rmtree(Path(place, f"{name}-1.dist-info"), ignore_errors=True)
    importlib.invalidate_caches()
    registry._plugins.cache_clear()


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("package", ["mlflow", "tensorboard", "wandb"])
def test_a_tracker_is_installed_or_left_out(package, install, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    line = f"{TUNE} 'trackers.{package}={{}}'"
    follow(Case(line, f"trackers.{package}=null", f"{TUNE} trackers.{package}=null"))
    follow(Case(line, f"tunewright[{package}]", mend=lambda: install(package)))


@pytest.mark.usefixtures("no_training")
def test_a_sampler_is_installed_or_another_taken(install, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "cmaes", None)
    if importlib.util.find_spec("cmaes") is not None:
        pytest.skip("cmaes is installed")
    space = tmp_path / "space.yaml"
    space.write_text(
        "inherit: false\nparameters:\n  x: {type: float, low: 0, high: 1}\n"
        "  y: {type: float, low: 0, high: 1}\n"
    )
    line = f"{TUNE} --space space.yaml study.sampler.type="
    follow(Case(f"{line}cma_es", "study.sampler.type=tpe", f"{line}tpe"))
    monkeypatch.delitem(sys.modules, "cmaes")
    follow(Case(f"{line}cma_es", "tunewright[cmaes]", mend=lambda: install("cmaes")))


def test_onnx_is_installed(install, monkeypatch):
    if importlib.util.find_spec("onnx") is not None:
        pytest.skip("onnx is installed")
    with pytest.raises(ConfigError, match=r"tunewright\[onnx\]"):
        need_onnx()
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    for package in extras["onnx"]:
        install(re.match(r"\w+", package)[0])
    need_onnx()


def test_a_driver_is_installed(monkeypatch):
    url = "postgresql://host/studies"
    with monkeypatch.context() as patched:
        for driver in ("psycopg", "psycopg2"):
            patched.setitem(sys.modules, driver, None)
        with pytest.raises(TunewrightError, match=r"tunewright\[postgresql\]"):
            with_driver(url)
    pytest.importorskip("psycopg")
    assert with_driver(url) == "postgresql+psycopg://host/studies"


WEB = """
def wsgi(url):
    return lambda environ, start: []
"""


def served(**options: object) -> str:
    """Serve the dashboard until it tells its address; return that."""
    told = []

    def stop(address: str) -> None:
        told.append(address)
        raise KeyboardInterrupt

    dashboard("study", on_address=stop, **options)
    return told[0]


def test_the_dashboard_is_installed_and_finds_a_port(install, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*f"{TUNE} executor.type=inline --trials 1 --name study study.final=false".split())
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "optuna_dashboard", None)
        with pytest.raises(ConfigError, match=r"tunewright\[dashboard\]"):
            served(port=0)
    install("optuna_dashboard", WEB)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        with pytest.raises(UsageError, match="--port 0"):
            served(port=taken.getsockname()[1])
        served(port=0)
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(UsageError, match=r"--host 127\.0\.0\.1"):
            served(host=host, port=0)
    assert served(host="127.0.0.1", port=0)


def test_a_journal_is_shown_without_the_dashboard(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = optuna.storages.journal.JournalFileBackend("study.log")
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(storage=storage, study_name="theirs")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=6)
    with pytest.raises(UsageError) as refused:
        dashboard("study.log")
    file = tmp_path / "study.log"
    assert f"tunewright report {file} writes its charts" in refused.value.remedy
    assert f"optuna-dashboard {file}" in refused.value.remedy
    run("report", str(file))


def test_a_name_that_two_packages_offer(install):
    group, text = "tunewright.samplers", "from practice.components.samplers import narrowing\n"
    for name in ("one", "two"):
        install(name, text, group=group, points=f"shrinking = {name}:narrowing")
    with pytest.raises(ConfigError, match="Uninstall one of the packages"):
        SAMPLERS["shrinking"]
    uninstall("two")
    with pytest.raises(ConfigError, match="Did you mean 'shrinking'"):
        SAMPLERS["shrnking"]
    assert SAMPLERS["shrinking"]


RECIPE = """
from dataclasses import replace
from practice.quadratic.recipe import RECIPE as QUADRATIC
RECIPE = replace(QUADRATIC, name="mine")
TEXT = "no recipe"
"""


@pytest.mark.parametrize(
    ("name", "text", "point", "said"),
    [
        ("broken_recipe", "raise OSError", "RECIPE", "Repair or uninstall that package"),
        ("recipe_of_a_text", RECIPE, "TEXT", "such as `my_recipe.recipe:RECIPE`"),
    ],
)
def test_a_recipe_of_a_package_is_repaired(name, text, point, said, install):
    group = "tunewright.recipes"
    install(name, text, group=group, points=f"{name} = {name}:{point}")
    with pytest.raises(ConfigError) as refused:
        find_recipe(name)
    assert said in refused.value.remedy
    install(name, RECIPE, group=group, points=f"{name} = {name}:RECIPE")
    assert find_recipe(name).name == "mine"


def test_a_broken_package_is_uninstalled(install):
    install("lost", "raise OSError", group="tunewright.recipes", points="lost = lost:RECIPE")
    with pytest.raises(ConfigError, match="uninstall that package"):
        find_recipe("lost")
    uninstall("lost")
    with pytest.raises(UsageError, match="recipe 'lost': expected one of"):
        find_recipe("lost")


def test_arguments_of_an_older_recipe_are_moved():
    known = find_recipe("pictures")
    given = {"name": "old", "config": known.config, "conf": known.conf, "space": None}
    given |= {"metrics": {"accuracy": "max"}, "run": known.run}
    with pytest.raises(ConfigError) as refused:
        Recipe(**given, evaluate="a:b", aliases={"x": "steps"})
    assert 'evaluate into capabilities={"evaluate": ...}' in refused.value.remedy
    assert "aliases into dialect=Dialect(aliases=...)" in refused.value.remedy
    moved = Recipe(
        **given, capabilities={"evaluate": "a:b"}, dialect=Dialect(aliases={"x": "steps"})
    )
    assert moved.capabilities["evaluate"] == "a:b"
