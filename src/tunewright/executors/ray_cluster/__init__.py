"""Trials on a Ray cluster: one actor for each slot, with a warm worker process, on any node."""
