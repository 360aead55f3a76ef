"""Optimisers that neither torch nor timm has in this form."""
