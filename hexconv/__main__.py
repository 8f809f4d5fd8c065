"""`python -m hexconv`."""

from hexconv.cli import main

if __name__ == "__main__":
    main()
