"""Runs that Weights & Biases stored on disk, read without its package."""
