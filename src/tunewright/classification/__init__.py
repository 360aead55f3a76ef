"""What recipes that classify share: models, losses, metrics, inference, evaluation."""
