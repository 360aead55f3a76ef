"""What lies in run folders, and the values read from them; no torch."""
