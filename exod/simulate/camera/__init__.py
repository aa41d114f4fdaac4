"""What a camera makes of photons: spectra, soft protons, pile-up, read-out, availability."""
