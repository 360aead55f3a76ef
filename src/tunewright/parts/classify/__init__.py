"""Batches of pictures to a measured classifier."""
