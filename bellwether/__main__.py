"""`python -m bellwether` is the bellwether command."""

from bellwether.cli import main

main()
