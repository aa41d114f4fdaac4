"""What a camera makes of photons: geometry, vignetting, pile-up, read-out, availability."""
