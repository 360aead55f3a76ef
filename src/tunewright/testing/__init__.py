"""Contract tests to inherit: they test an executor, recipe, task or tracker of your own.

::

    class TestMine(RecipeContract):
        name = "mine"
"""
