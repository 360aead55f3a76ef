"""Image-text models of pairs of eyes: a shared image encoder, a text encoder, three branches."""
