"""What is made of trained compressors: coded files and rate-distortion curves."""
