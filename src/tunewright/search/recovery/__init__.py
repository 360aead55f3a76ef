"""Rebuild a study from its run folders."""
