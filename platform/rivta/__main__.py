"""`python -m rivta` is the command `rivta`."""

from rivta.cli.main import main

if __name__ == "__main__":
    main()
