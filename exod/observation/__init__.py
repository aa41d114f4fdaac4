"""The events of an observation: which are used, of which exposures, in which good time."""
