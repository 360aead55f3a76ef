"""The evaluation of a trained classifier beside its baselines."""
