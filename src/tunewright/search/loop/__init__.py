"""Ask, start, listen, prune, tell: trials while they run."""
