"""Memory of a training: its peak, its limit, and the GPU's."""
