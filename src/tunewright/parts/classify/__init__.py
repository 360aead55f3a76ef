"""Image classification: losses for imbalanced classes, models, metrics and what follows them."""
