"""Commands that show a whole archive: as a page, and in a browser."""
