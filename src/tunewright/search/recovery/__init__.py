"""A study rebuilt from its run folders."""
