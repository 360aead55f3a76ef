"""Pruning rules that choose their own steps."""
