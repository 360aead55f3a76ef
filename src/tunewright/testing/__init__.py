"""Contract tests that ship, to be inherited by those who write a new part."""
