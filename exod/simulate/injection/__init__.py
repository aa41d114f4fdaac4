"""Sources put into event lists that exist: what is asked for, where, and how strong."""
