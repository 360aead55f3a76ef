"""Sections whose `type` names a component, shipped or of an installed package."""
