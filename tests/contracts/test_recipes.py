"""Every recipe keeps the contract: the shipped ones, and those of the practice plugin."""

from tunewright.testing.recipes import RecipeContract


class TestPairs(RecipeContract):
    name = "pairs"


class TestLongtail(RecipeContract):
    name = "longtail"
    small = ("model.name=test_resnet", "model.fusion=none", "data.image_size=16")


class TestFlowers(RecipeContract):
    name = "flowers"
    small = ("model.name=test_resnet", "data.image_size=32")


class TestQuadratic(RecipeContract):
    name = "quadratic"


class TestBlobs(RecipeContract):
    name = "blobs"


class TestTailed(RecipeContract):
    name = "tailed"
