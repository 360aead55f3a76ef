"""Where a study stands and who runs it, for those who look from outside."""
