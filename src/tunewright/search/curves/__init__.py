"""A search that reads learning curves: which trial goes on, and which configuration starts next."""
