"""Workloads that can be trained and tuned."""
