"""What this machine has free: cores and memory, within its control groups."""
