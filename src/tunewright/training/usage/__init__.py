"""What a training uses of its machine: waiting for data, and its GPU."""
