"""Executors: they start runs and report when they end."""
