"""A plugin in a directory, and the command line as a user meets it."""

from pathlib import Path

from typer.testing import CliRunner, Result

from raydock.cli.app import app

CONFIG = """\
# what the backend knows
code: echo
category: custom
env: {ECHO_MOOD: calm}

actions:
  say: {entrypoint: "echo_actions:Say"}
  fail:
    entrypoint: echo_actions.Fail   # with a dot
  empty: {description: no code yet}
"""
ACTIONS = """
import os
from pathlib import Path
from raydock.sdk.plugins import BaseAction

class Say(BaseAction):
    action_name = "say"
    def execute(self):
        self.set_progress(1, 2)
        self.log_message({"en": "hello", "ko": "annyeong"})
        return {
            "params": self.params,
            "here": Path.cwd().name,
            "mood": os.environ["ECHO_MOOD"],
            "client": self.ctx.client is not None,
            "agent": self.ctx.agent_client is not None,
        }

class Fail(BaseAction):
    def execute(self):
        raise ValueError("no answer of https://store.example/m?sig=abc with s3cret-token")
"""


def plugin(directory: Path) -> Path:
    """The plugin `echo`, written into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.yaml").write_text(CONFIG)
    (directory / "echo_actions.py").write_text(ACTIONS)
    return directory


def raydock(*args: str) -> Result:
    """`raydock ARGS`, without a terminal."""
    done = CliRunner().invoke(app, list(args))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done
