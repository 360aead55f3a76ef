"""Replicate the best configurations of a search with new seeds, and choose the winner."""
