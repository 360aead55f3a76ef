"""One training on several processes, its ranks: what they share, and the same result as one."""
