"""Projection heads on paired embeddings."""
