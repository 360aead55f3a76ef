"""Contract tests that ship: inherit one, and a new executor, recipe or task is tested.

::

    class TestMine(RecipeContract):
        name = "mine"
"""
