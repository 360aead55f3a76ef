"""`tunewright audit`: train a spread of a study's configurations in full, beside the study."""
