"""Image encoders, text encoders, and the tripartite model of both."""
