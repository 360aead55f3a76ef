"""What a finished study shows; no torch."""
