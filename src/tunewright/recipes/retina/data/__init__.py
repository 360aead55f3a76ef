"""Patients with two photographs and their reports, from any layout to batches."""
