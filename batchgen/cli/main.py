"""The `batchgen` command: a group whose commands are imported only when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module

import click

import batchgen
from batchgen.cli import signals, streams, surroundings
from batchgen.domain.errors import BatchgenError, Exit, ManifestError
from batchgen.domain.text import plain

# Each is the function of its own name in the module of its own name: what it does, in one line.
_COMMANDS: dict[str, str] = {
    "init": "Write a first manifest, a small catalog and .env.example.",
    "check": "Report every problem of manifests at once; touches no ledger.",
    "plan": "Show what a run would buy, cost and take.",
    "run": "Buy what is not there yet; the same again resumes.",
    "status": "Counts and money of all jobs, or of one.",
    "tasks": "The tasks of a job, a line each.",
    "show": "One task with all its attempts.",
    "retry": "Make failed or parked tasks available again.",
    "recover": "Read paid answers again that nobody could read; no call is made.",
    "cancel": "Stop wanting what is not delivered yet.",
    "report": "What was delivered, what it cost, what needs a person.",
    "verify": "Prove that database, files, checksums and books agree.",
    "rebuild": "Enter into the ledger what an output folder tells: it is lost, or older.",
    "ceiling": "What all jobs may spend in a calendar month.",
    "reconcile": "Compare the ledger with the gateway's own log; settle lost answers.",
    "probe": "One small paid call over a route, or two side by side.",
    "routes": "The routes and their contracts.",
    "simulate": "Serve the simulated gateway on a loopback port.",
    "doctor": "Check the environment.",
    "schema": "Print the JSON Schema of manifests.",
}


class _LazyGroup(click.Group):
    """Knows its commands by name; `--help` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give all names, in the order in which a person meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"batchgen.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=lambda *given: _version(given[2]))
def cli() -> None:
    """Buy images by the thousand from OpenAI-compatible gateways, and prove what they cost.

    A YAML manifest becomes tasks in a SQLite ledger; `batchgen run` buys what is not there yet.
    """


def _version(wanted: bool) -> None:
    if wanted:
        click.echo(f"batchgen {batchgen.__version__}")
        raise click.exceptions.Exit(0)


def main() -> None:
    """Run the command line; every error is one clear sentence and an exit code."""
    streams.prepare()
    try:
        signals.act_as_ctrl_c()
        surroundings.leave_the_locale()
        surroundings.check_names()
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except (click.Abort, KeyboardInterrupt):
        code = _ended(["interrupted"], Exit.INTERRUPTED)
    except BrokenPipeError:  # whoever read has enough
        code = Exit.INTERNAL
    except ManifestError as error:
        code = _ended(map(str, error.problems), error.exit_code)
    except BatchgenError as error:
        code = _ended([str(error)], error.exit_code)
    except click.ClickException as error:
        streams.endure()
        error.show()
        code = Exit.USAGE
    except Exception as error:  # the last line of defence: a sentence, never a traceback
        if os.environ.get("BATCHGEN_DEBUG"):
            raise
        sentence = (
            f"internal error: {type(error).__name__}: {error}. What was received is on disk, "
            "booked or not; run again to go on. Set BATCHGEN_DEBUG=1 to see where it happened"
        )
        code = _ended([sentence], Exit.INTERNAL)
    signals.ignore()
    streams.endure()
    sys.exit(int(code or 0))


def _ended(lines: Iterable[str], code: Exit) -> Exit:
    """Say why a command has ended, if there is somebody to say it to."""
    streams.endure()
    click.echo("batchgen: " + "\n".join(map(plain, lines)), err=True)
    return code
