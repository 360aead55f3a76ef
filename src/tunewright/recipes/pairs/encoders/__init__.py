"""From pictures and texts to embeddings."""
