"""The explorer without a server: its pages as files, and what makes few ranges of them enough."""
