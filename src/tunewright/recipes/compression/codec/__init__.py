"""Compressed files: tables, entropy coder, file format, a picture's way there and back."""
