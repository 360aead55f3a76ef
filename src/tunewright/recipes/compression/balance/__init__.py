"""How training weighs distortion against rate: task weights and their gamma."""
