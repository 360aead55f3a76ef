"""Every recipe keeps the contract: the shipped ones, and those of the practice plugin."""

from tunewright.testing.recipes import RecipeContract


class TestPairs(RecipeContract):
    name = "pairs"


class TestQuadratic(RecipeContract):
    name = "quadratic"


class TestBlobs(RecipeContract):
    name = "blobs"


class TestTailed(RecipeContract):
    name = "tailed"
