"""Scores of many trainings by the values of a few parameters: cells, heat maps, ties."""
