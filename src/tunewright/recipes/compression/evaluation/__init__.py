"""Rate and distortion through real files, beside classical codecs and published curves."""
