"""The search loop: ask for trials, start them, read reports, prune, store results."""
