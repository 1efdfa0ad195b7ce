"""`python -m whyhere`."""

from whyhere.cli import main

main()
