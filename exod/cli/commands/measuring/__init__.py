"""Commands that measure the search: simulated observations, injected sources, completeness."""
