"""Files wherever they are: storage, files that appear whole or not at all, and trying again."""
