"""From a trained run to class probabilities: one model, its views, several models."""
