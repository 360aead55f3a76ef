"""Search spaces as other programs write them, read into ours."""
