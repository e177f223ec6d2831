"""``python -m isograd.cli`` is the command ``isograd``."""

from isograd.cli import main

main()
