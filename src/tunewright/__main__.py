"""Entry point of `python -m tunewright`."""

from tunewright.cli import main

main()
