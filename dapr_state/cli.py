"""The `dapr-state` command: its sub-commands, and what they print."""

# ruff: noqa: T201 - what a command says goes to its outputs
from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from dapr_state import DAPR_VERSION, __version__
from dapr_state.observability import logs
from dapr_state.runtime import flags, wait
from dapr_state.runtime.options import Options, OptionsError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_OK: Final = 0
EXIT_FATAL: Final = 1
EXIT_USAGE: Final = 2

_HELP: Final = f"""\
dapr-state {__version__}: Dapr's State and Actors APIs (Dapr {DAPR_VERSION}) as one process.

Usage: dapr-state <command> [flags]

Commands:
  serve       run the sidecar; takes daprd's flags, `dapr-state serve --help` lists them

Flags:
  --help      print this
  --version   print the version
"""

log = logging.getLogger("dapr.runtime")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the process."""
    command, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    match command:
        case "serve":
            return serve(rest)
        case "--help" | "-h" | "help":
            print(_HELP, end="")
            return EXIT_OK
        case "--version" | "version":
            print(f"dapr-state {__version__} (Dapr {DAPR_VERSION})")
            return EXIT_OK
    print(f"dapr-state: there is no command {command!r}\n\n{_HELP}", end="", file=sys.stderr)
    return EXIT_USAGE


def serve(argv: Sequence[str]) -> int:
    """Be a sidecar until a signal comes."""
    try:
        parsed = flags.parse(argv)
    except flags.UsageError as error:
        return _refuse(error)
    for line in parsed.deprecations:
        print(line, file=sys.stderr)

    if parsed["version"]:
        print(DAPR_VERSION)
        return EXIT_OK
    if parsed["build-info"]:
        print(f"Version: {DAPR_VERSION}\nGit Commit: \nGit Version: dapr-state {__version__}")
        return EXIT_OK
    if parsed["wait"]:
        wait.until_ready(parsed["dapr-http-port"])
        return EXIT_OK
    return _run(parsed)


def _run(parsed: flags.Parsed) -> int:
    try:
        logs.configure(
            app_id=parsed["app-id"],
            level=parsed["log-level"],
            as_json=parsed["log-as-json"],
            file=parsed["log-file"],
        )
        options = Options.of(parsed, os.environ)
    except (logs.LogOptionsError, OptionsError) as error:
        log.critical("%s", error)
        return EXIT_FATAL

    # the drivers and the servers take most of the start time, and a command line error needs none of them
    from dapr_state.runtime import sidecar  # noqa: PLC0415

    return sidecar.run(options)


def _refuse(error: flags.UsageError) -> int:
    # both outputs get the line: scripts that start daprd read either
    if not error.wants_help:
        print(error, file=sys.stderr)
    print(f"Usage of dapr-state serve:\n{flags.usage()}", file=sys.stderr)
    print(error)
    return EXIT_USAGE
