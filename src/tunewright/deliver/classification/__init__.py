"""What is made of trained classifiers: predictions, ensembles, checks, submissions."""
