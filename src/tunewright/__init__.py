"""Tunewright tunes and fine-tunes PyTorch models; importing it never imports torch."""

__version__ = "0.1.0"
