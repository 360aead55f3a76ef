"""Every recipe keeps the contract: the shipped ones, and those of the practice plugin."""

from tunewright.testing.recipes import RecipeContract

BALANCED = {"balance.schedule.type": ("balance=famo",)}
SEVERAL_LABELS = {
    "loss=asymmetric": ("data.multi_label=true",),
    "loss=binary_cross_entropy": ("data.multi_label=true",),
}


class TestPairs(RecipeContract):
    name = "pairs"


class TestLongtail(RecipeContract):
    name = "longtail"
    small = ("model.name=test_resnet", "model.fusion=none", "data.image_size=16")
    beside = SEVERAL_LABELS


class TestFlowers(RecipeContract):
    name = "flowers"
    small = ("model.name=test_resnet", "data.image_size=32")
    beside = SEVERAL_LABELS


class TestCompression(RecipeContract):
    name = "compression"
    small = (
        "model=hyperprior", "model.channels=8", "model.latent=12", "data.crop=64",
        "data.crops_per_photo=2", "training.batch_size=4",
    )  # fmt: skip
    beside = BALANCED


class TestRetina(RecipeContract):
    name = "retina"
    small = ("data.image_size=32", "model.embed_dim=16", "training.batch_size=64")


class TestQuadratic(RecipeContract):
    name = "quadratic"


class TestBlobs(RecipeContract):
    name = "blobs"


class TestTailed(RecipeContract):
    name = "tailed"
