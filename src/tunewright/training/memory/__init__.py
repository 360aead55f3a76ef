"""Memory of a training: its peak, its limit, the device's."""
