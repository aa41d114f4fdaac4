"""The ledger: what happened to each observation, one entry or all at once."""
