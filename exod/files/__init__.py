"""Files wherever they are: file systems of fsspec, and files that appear whole or not at all."""
