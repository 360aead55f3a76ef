"""What a study has learned, with evidence, how sure it is, and the change to make; no torch."""
