"""What ``python -m exod`` runs."""

from exod.cli import main

if __name__ == "__main__":
    main()
