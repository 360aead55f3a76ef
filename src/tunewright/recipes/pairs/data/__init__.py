"""Embeddings and their metadata: files, datasets, splits, groups, batches."""
