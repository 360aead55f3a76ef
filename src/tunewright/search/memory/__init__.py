"""Admission of trials by free memory, and retries after out-of-memory failures."""
