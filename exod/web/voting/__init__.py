"""Voting in the explorer: votes as pages see them, queues, facets, and who is who."""
