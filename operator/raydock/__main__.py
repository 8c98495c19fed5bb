"""`python -m raydock` and the `raydock` command: the command line, and the operator that it can start."""

import sys

from raydock.cli.app import app


@app.command("operator")
def operator() -> None:
    """Run the operator: settings from the file that RAYDOCK_SETTINGS names, and from RAYDOCK_ variables."""
    from raydock.runtime.main import main as run  # noqa: PLC0415 - users of the other commands lack its packages

    sys.exit(run())


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
