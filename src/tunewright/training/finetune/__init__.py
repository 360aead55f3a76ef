"""Fine-tuning: parts of a network that learn at rates of their own, or wait frozen."""
