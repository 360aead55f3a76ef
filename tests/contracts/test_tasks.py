"""Every task keeps the contract."""

from collections.abc import Iterator

import pytest
import torch

from tunewright.config.compose import compose
from tunewright.recipes.recipe import import_object
from tunewright.recipes.registry import find_recipe
from tunewright.testing.tasks import TaskContract
from tunewright.training.task import Setup

NARROW = (
    *("model=hyperprior", "model.channels=8", "model.latent=12", "data.crop=64"),
    "training.batch_size=4",
)


class TestPairs(TaskContract):
    facts = ("i2t_gallery", "t2i_gallery")

    def make(self) -> Setup:
        return default_setup("pairs", "training.batch_size=64", "model.output_dim=16")


class TestPairsWithAttentionAndAQueue(TaskContract):
    facts = ("i2t_gallery", "t2i_gallery")

    def make(self) -> Setup:
        overrides = ["model=attention", "model.tokens=4", "model.output_dim=16", "loss=queue"]
        return default_setup("pairs", "training.batch_size=64", *overrides)


class TestLongtail(TaskContract):
    def make(self) -> Setup:
        overrides = ["model.fusion=simple_concat", "data.image_size=16", "training.batch_size=16"]
        return default_setup("longtail", *overrides)


class TestFlowersWithMixedPictures(TaskContract):
    absent = ("many", "few", "tail")

    def make(self) -> Setup:
        overrides = ["model.name=test_resnet", "data.image_size=32", "training.batch_size=16"]
        return default_setup("flowers", *overrides, "mixing.mixup_alpha=0.2", "loss=focal")


class TestCompressionWithHpcm(TaskContract):
    absent = ("ms_ssim",)

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Hundreds of small operations: several threads would wait for each other, and for us."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    def make(self) -> Setup:
        return default_setup("compression", "training.batch_size=1")


class TestCompressionWithFamo(TaskContract):
    absent = ("ms_ssim",)

    def make(self) -> Setup:
        return default_setup("compression", *NARROW, "balance=famo")


class TestCompressionWithAQuadraticProgram(TaskContract):
    absent = ("ms_ssim",)

    def make(self) -> Setup:
        return default_setup("compression", *NARROW, "balance=qp")


class TestRetina(TaskContract):
    absent = ("kappa",)
    facts = ("i2t_gallery", "t2i_gallery")

    def make(self) -> Setup:
        return default_setup("retina", "data.image_size=32", "training.batch_size=16")


class TestBlobs(TaskContract):
    def make(self) -> Setup:
        return default_setup("blobs")


def default_setup(name: str, *overrides: str) -> Setup:
    recipe = find_recipe(name)
    setup: Setup = import_object(recipe.setup)(
        compose(recipe, overrides).config, torch.device("cpu")
    )
    return setup
