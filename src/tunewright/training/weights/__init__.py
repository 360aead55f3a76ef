"""Weights that a training starts from."""
