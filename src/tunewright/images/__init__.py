"""Labelled pictures: found at any source, split without leaks, kept ready as batches."""
