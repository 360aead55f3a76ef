"""Which trials may run at once, and what happens when memory runs out."""
