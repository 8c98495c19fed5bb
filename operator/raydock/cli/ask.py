"""What a command asks at a terminal, and what it says where there is none."""

import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.prompt import IntPrompt, Prompt

USAGE: Final = 2


def text(what: str, *, default: str | None = None, hidden: bool = False, instead: str) -> str:
    """The answer to `what`; may be empty. Without a terminal: a usage error that names `instead`."""
    console = _terminal(instead)
    if default is None:
        return Prompt.ask(what, console=console, password=hidden).strip()
    return Prompt.ask(what, console=console, password=hidden, default=default).strip()


def choice(what: str, lines: Sequence[str], *, instead: str) -> int:
    """The place in `lines` of the one that was chosen, by default the first one."""
    console = _terminal(instead)
    for number, line in enumerate(lines, start=1):
        console.print(f"  {number}  {line}", markup=False, highlight=False)
    numbers = [str(number) for number in range(1, len(lines) + 1)]
    return IntPrompt.ask(what, console=console, choices=numbers, default=1) - 1


def usage(text: str) -> NoReturn:
    """End the command for its wrong usage."""
    print(f"error: {text}", file=sys.stderr)
    raise typer.Exit(USAGE)


def _terminal(instead: str) -> Console:
    if not sys.stdin.isatty():
        usage(f"there is no terminal to ask on: give {instead}")
    return Console(stderr=True)
