"""The command line: finds the command, runs it, and turns whatever happens into a message and an exit code.

Commands are typer apps, each in its own module that is imported when the command is called: `storyteller --help`
imports none of them. What is not a command's name opens the room.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from storyteller import __version__
from storyteller.cli.streams import (
    ReaderGone,
    fill_standard_descriptors,
    forget_output,
    notice,
    output,
    prepare_output,
)
from storyteller.engine.process.offline import go_offline
from storyteller.errors import StorytellerError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED: Final = 130
_CONTEXT: Final[dict[str, Any]] = {"help_option_names": ["--help", "-h"], "max_content_width": 100}


class Command(NamedTuple):
    """Where a command is (`module.app`, a typer app) and what it does."""

    module: str
    does: str


ROOM: Final = Command("storyteller.cli.open_", "open the room; `open` may be left out")
COMMANDS: Final = {
    "open": ROOM,
    "continue": Command("storyteller.cli.continue_", "write on from a file or a pipe, to standard output"),
    "score": Command("storyteller.cli.score", "how surprised the model is by a text, token by token"),
    "models": Command("storyteller.cli.models", "list | path | get | verify models"),
    "adapters": Command(
        "storyteller.cli.adapters", "list | show | use | remove | import | mix | merge | export adapters"
    ),
    "train": Command("storyteller.cli.train", "learn a genre from texts, as an adapter beside the model"),
    "pretrain": Command("storyteller.cli.pretrain", "train a small model of your own from texts alone"),
    "genres": Command("storyteller.cli.genres", "list | add genres to write in"),
    "corpus": Command(
        "storyteller.cli.corpus", "add | list | show | clean | remove texts to learn a genre from"
    ),
    "feedback": Command(
        "storyteller.cli.feedback", "show | stats | export | redact | purge | consent: what is logged"
    ),
    "doctor": Command("storyteller.cli.doctor", "what was found here, and what is amiss"),
    "eval": Command(
        "storyteller.cli.eval_", "perplexity | lambada | diversity | memorisation | quantisation: in figures"
    ),
    "bench": Command(
        "storyteller.cli.bench", "engine | ui | threads | speculation | train: measure them on this machine"
    ),
}


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments` and return the exit code. Says what there is to say; never raises.

    Everything but `models get` and `train --online` runs with the hub libraries' network switched off before they
    are imported.
    """
    if list(arguments[:2]) != ["models", "get"] and not _trains_online(arguments):
        go_offline()
    fill_standard_descriptors()
    try:
        prepare_output()
        return _dispatch(list(arguments))
    except (ReaderGone, BrokenPipeError):
        forget_output()
        return 0
    except KeyboardInterrupt:
        notice("")
        return INTERRUPTED
    except StorytellerError as error:
        notice(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last place where a traceback can become a sentence
        return _failed(error)


def help_text() -> str:
    """What `storyteller --help` prints."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {command.does}" for name, command in COMMANDS.items())
    return f"""\
Usage: storyteller [OPTIONS] [FILE]
       storyteller COMMAND [OPTIONS] ...

The writing room: a full-screen editor with a local GPT-2 that writes on when you press Tab.

Commands:
{commands}

Options:
  --help     this text; `storyteller COMMAND --help` says more, `storyteller open --help` for the room
  --version  the version

A file called like a command opens with ./ before its name. Settings, models and logs: `storyteller doctor`.
"""


def _trains_online(arguments: Sequence[str]) -> bool:
    return list(arguments[:1]) == ["train"] and "--online" in arguments


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in {"--help", "-h"}:
        output(help_text())
        return 0
    if first == "--version":
        output(f"storyteller {__version__}\n")
        return 0
    if not arguments or (len(arguments) == 1 and not first.startswith("-") and first not in COMMANDS):
        # Without typer, which takes a tenth of a second to see that there is no option.
        from storyteller.cli.room import open_room

        return open_room(first if arguments else None)
    if first in COMMANDS:
        return _call(COMMANDS[first], f"storyteller {first}", arguments[1:])
    return _call(ROOM, "storyteller", arguments)


def _call(command: Command, name: str, arguments: list[str]) -> int:
    import typer

    app = import_module(command.module).app
    try:
        # Not `main()`: it turns a closed pipe into exit code 1 before we can see it.
        called: Any = typer.main.get_command(app)
        with called.make_context(name, arguments, **_CONTEXT) as context:
            result = called.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return INTERRUPTED
    except typer.TyperException as error:
        return _misused(error)
    return result if isinstance(result, int) else 0


def _misused(error: Any) -> int:
    """A usage error: what typer would print, made safe to show."""
    from io import StringIO

    shown = StringIO()
    error.show(file=shown)
    notice(shown.getvalue())
    return int(error.exit_code)


def _failed(error: Exception) -> int:
    """A fault of ours: one sentence here, frames without a word of the manuscript in the log."""
    import logging

    from storyteller.paths import log_path
    from storyteller.tui.log import set_up_log

    trouble = set_up_log()
    logging.getLogger("storyteller.cli").error("a command failed", exc_info=error)
    where = trouble or f"{log_path()} has the details."
    notice(f"storyteller failed: {type(error).__name__}: {error}. That is a fault of the program. {where}")
    return 1
