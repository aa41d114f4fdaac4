"""How observations of Chandra are processed: with CIAO where it is, and natively without it."""
