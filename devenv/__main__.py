"""`python -m devenv` is the command line."""

from devenv.cli.app import main

if __name__ == "__main__":
    main()
