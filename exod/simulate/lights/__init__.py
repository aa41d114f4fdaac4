"""Light curves of simulated sources: models, tables, and how they are written as text."""
