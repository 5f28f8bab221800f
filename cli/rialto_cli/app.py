"""The `rialto` command: its sub-commands, and what happens to errors.

Each part registers its commands here and imports what they need when they run, so that `rialto --help` stays quick.
"""

import errno
import sys
from importlib import import_module
from importlib.util import find_spec

import typer

from rialto_cli.acquirer.commands import register as register_acquirer
from rialto_cli.acquirer_sim.commands import register as register_acquirer_sim
from rialto_cli.commands import register as register_embedded
from rialto_cli.console import show_error
from rialto_cli.dead_letters.commands import register as register_dead_letters
from rialto_cli.errors import OperatorError
from rialto_cli.events.commands import register as register_events
from rialto_cli.ledger.commands import register as register_ledger
from rialto_cli.payments.commands import register as register_payments
from rialto_cli.reconcile.commands import register as register_reconcile
from rialto_cli.replay.commands import register as register_replay
from rialto_cli.sim.commands import register as register_sim
from rialto_cli.topics.commands import register as register_topics
from rialto_cli.torture.commands import register as register_torture

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def build() -> typer.Typer:
    """Return the command with all its sub-commands."""
    app = typer.Typer(
        name="rialto",
        help="Run Rialto on one machine, send payments through it, and check its books.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for register in (
        register_embedded,
        register_payments,
        register_replay,
        register_dead_letters,
        register_topics,
        register_events,
        register_ledger,
        register_reconcile,
        register_sim,
        register_torture,
        register_acquirer_sim,
        register_acquirer,
    ):
        register(app)
    if find_spec("rialto_cli.audit") and find_spec("rialto_cli.audit.commands"):
        import_module("rialto_cli.audit.commands").register(app)
    return app


def main() -> None:
    """Run the command line; a problem that a person can solve is told in three lines."""
    try:
        build()()
    except OperatorError as error:
        show_error(error)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        show_error(
            OperatorError(
                "The operating system refused",
                f"{error.strerror}{'' if error.filename is None else f': {error.filename}'}",
                "free some space or correct the permissions, then run the command again",
            )
        )
        sys.exit(1)
