"""What ``python -m exod`` runs."""

from exod.cli import main

main()
