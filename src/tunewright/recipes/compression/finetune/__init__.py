"""Fine-tuning a compressor: by part, and by scale."""
