"""Two studies or two runs side by side: what differs between them, and what that gained."""
