"""What recipes that align two kinds of embeddings share: losses and retrieval metrics."""
