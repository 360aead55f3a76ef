"""How long a study takes: timings, time left, budget, disk."""
