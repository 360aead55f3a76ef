"""A tiny classifier of pictures: what is delivered, without a training worth the name."""
