"""Fine-grained competitions: timm models, augmentation levels, everything up to the submission."""
