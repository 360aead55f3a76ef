"""Leases by content: who may write in a folder, without file locks or clocks in step."""
