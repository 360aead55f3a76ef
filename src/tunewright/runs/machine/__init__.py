"""Free cores and memory of this machine, within its control groups."""
