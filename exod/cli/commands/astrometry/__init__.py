"""Commands about positions against the sky, those of astromon among them."""
