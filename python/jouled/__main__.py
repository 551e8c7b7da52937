"""`python -m jouled` is the `jouled` command."""

from jouled.cli.jouled import main

if __name__ == "__main__":
    main()
