"""The `dapr-state` command: its sub-commands, and what they print."""

# ruff: noqa: T201 - what a command says goes to its outputs
from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dapr_state import DAPR_VERSION, __version__

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

    from dapr_state.runtime import flags
    from dapr_state.runtime.run.flags import Parsed as RunFlags

EXIT_OK: Final = 0
EXIT_FATAL: Final = 1
EXIT_USAGE: Final = 2

_WITH_RUN_FILE: Final = frozenset({"run-file", "only", "keep-going", "name"})

_HELP: Final = f"""\
dapr-state {__version__}: Dapr's State and Actors APIs (Dapr {DAPR_VERSION}) as one process.

Usage: dapr-state <command> [flags]

Commands:
  run         run an application with its sidecar: dapr-state run --app-port 8000 -- python app.py
  list        show the sidecars that run: [-o table|wide|json|yaml] [--all]
  stop        end them, and what they serve: ID… or --all [--timeout SECONDS]
  logs        show what an application of a run file has written: ID [--sidecar] [--follow] [-n LINES]
  keys        show the keys of a sidecar's store: [PREFIX] [--store S] [--count] [--json]
  get         write a value as it is stored: KEY [--store S]
  watch       show what a sidecar writes, as it happens: [PREFIX] [--values] [--json]
  actors      show its actors: [TYPE[/ID]] [--json]
  check       say what is wrong with component files, without starting: --resources-path FOLDER… [--connect]
  reminders   show its reminders: [--type T] [--failing] [--json]; or
              migrate: move reminders from the actor state store into Dapr's scheduler; takes the flags of `serve`
  serve       run the sidecar; takes daprd's flags, `dapr-state serve --help` lists them

Flags:
  --help      print this
  --version   print the version
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the process."""
    command, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    match command:
        case "serve" | "run" | "list" | "stop" | "logs" | "check" | "reminders":
            commands = {
                "serve": serve,
                "run": run,
                "list": show,
                "stop": stop,
                "logs": logs,
                "check": check,
                "reminders": reminders,
            }
            return commands[command](rest)
        case "keys" | "get" | "watch" | "actors":
            return look(command, rest)
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
    # Nothing that a start makes is garbage: to look through it again and again takes a tenth. The sidecar turns it on.
    gc.disable()
    from dapr_state.runtime import flags  # noqa: PLC0415 - other commands are there in half the time

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
        from dapr_state.runtime import wait  # noqa: PLC0415 - the client of HTTP takes 16 ms

        wait.until_ready(parsed["dapr-http-port"])
        return EXIT_OK
    return _serve(parsed)


def run(argv: Sequence[str]) -> int:
    """Be the parent of a sidecar and its application."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C before anything is begun is no error to be traced
    from dapr_state.runtime.run import flags, plan, supervisor  # noqa: PLC0415

    if argv[:1] in (["--help"], ["-h"]):
        print(flags.usage())
        return EXIT_OK
    try:
        parsed = flags.parse(argv)
        if "run-file" in parsed:
            return _run_file(parsed)
        planned = plan.of(parsed, parsed.command, os.environ, Path.cwd())
    except flags.UsageError as error:
        print(f"dapr-state: {error}\n\n{flags.usage()}", file=sys.stderr)
        return EXIT_USAGE
    except plan.CommandError as error:
        print(f"dapr-state: {error}", file=sys.stderr)
        return error.code
    if parsed.mistaken:
        print(f"dapr-state: the command gets {' '.join(parsed.mistaken)}: our flags stand before it", file=sys.stderr)
    if not parsed.command and Path("dapr.yaml").is_file():
        print("dapr-state: there is a dapr.yaml here: dapr-state run -f .", file=sys.stderr)
    return supervisor.run([planned], os.environ)


def _run_file(parsed: RunFlags) -> int:
    from dapr_state.runtime.run import runfile, supervisor  # noqa: PLC0415

    others = [f"--{flag.name}" for flag, _ in parsed.given if flag.name not in _WITH_RUN_FILE]
    if others:
        print(f"dapr-state: {' '.join(others)}: the run file says that, and these have no effect", file=sys.stderr)
    try:
        file = runfile.read(parsed.get("run-file"), os.environ, parsed.get("name"))
        plans = runfile.only([text for flag, text in parsed.given if flag.name == "only"], file.plans)
    except runfile.RunFileError as error:
        print(f"dapr-state: {error}", file=sys.stderr)
        return EXIT_FATAL
    for remark in file.remarks:
        print(f"dapr-state: {remark}", file=sys.stderr)
    return supervisor.run(plans, os.environ, keeps_going=parsed.get("keep-going") == "true")


def show(argv: Sequence[str]) -> int:
    """Tell which sidecars there are."""
    from dapr_state.runtime.run import listing  # noqa: PLC0415

    arguments = _parser("list")
    arguments.add_argument("-o", "--output", default="table", metavar="table|wide|json|yaml")
    arguments.add_argument("--all", action="store_true", help="also daprd processes that are not ours")
    given = arguments.parse_args(argv)
    try:
        print(listing.show(os.environ, given.output, all_of_them=given.all))
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_FATAL
    return EXIT_OK


def stop(argv: Sequence[str]) -> int:
    """End sidecars, by the ids of their applications."""
    from dapr_state.runtime.run import listing  # noqa: PLC0415

    arguments = _parser("stop")
    arguments.add_argument("ids", nargs="*", metavar="ID")
    arguments.add_argument("-a", "--app-id", action="append", default=[], dest="more")
    arguments.add_argument("-f", "--run-file", help="all that was started by this file")
    arguments.add_argument("--all", action="store_true")
    arguments.add_argument("--timeout", type=lambda text: float(text.removesuffix("s")), default=listing.STOP_TIMEOUT)
    given = arguments.parse_args(argv)
    ids = [*given.ids, *given.more]
    if not (ids or given.all or given.run_file):
        arguments.error("which? give an ID, -f FILE or --all")
    failures = listing.stop(ids, os.environ, given.timeout, given.run_file, all_of_them=given.all)
    for sentence in failures:
        print(sentence, file=sys.stderr)
    return EXIT_FATAL if failures else EXIT_OK


def logs(argv: Sequence[str]) -> int:
    """Show what an application has written."""
    from dapr_state.runtime.run import logs  # noqa: PLC0415

    arguments = _parser("logs")
    arguments.add_argument("id", metavar="ID")
    arguments.add_argument("--app", action="store_true", help="what the application has written, as without it")
    arguments.add_argument("--sidecar", action="store_true", help="what its sidecar has written")
    arguments.add_argument("--follow", "-f", action="store_true")
    arguments.add_argument("-n", type=int, default=100, metavar="LINES")
    given = arguments.parse_args(argv)
    path = logs.find(given.id, os.environ, of_sidecar=given.sidecar)
    if path is None:
        print(f"{given.id}: no logs are kept: they are of applications that run -f has started", file=sys.stderr)
        return EXIT_FATAL
    try:
        logs.show(path, given.n, follows=given.follow)
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return EXIT_FATAL
    except KeyboardInterrupt:
        pass
    return EXIT_OK


def look(command: str, argv: Sequence[str]) -> int:
    """Show what a sidecar keeps."""
    from dapr_state.runtime import looking  # noqa: PLC0415

    return looking.run(command, argv, os.environ)


def check(argv: Sequence[str]) -> int:
    """Tell what a start would refuse, or pass over."""
    arguments = _parser("check")
    arguments.add_argument("--resources-path", action="append", default=[], metavar="FOLDER")
    arguments.add_argument("--config", action="append", default=[], metavar="FILE")
    arguments.add_argument("--app-id", default="dapr-state", help="whose components they are, by their scopes")
    arguments.add_argument("--connect", action="store_true", help="ask each store, too; nothing is written")
    given = arguments.parse_args(argv)
    if not (given.resources_path or given.config):
        arguments.error("what? give a folder with --resources-path, or a file with --config")
    from dapr_state.runtime import check, flags  # noqa: PLC0415
    from dapr_state.runtime.options import Options, OptionsError  # noqa: PLC0415

    try:
        parsed = flags.parse(["--app-id", given.app_id])
        parsed.values |= {"resources-path": tuple(given.resources_path), "config": tuple(given.config)}
        findings = check.run(Options.of(parsed, os.environ), connect=given.connect)
    except OptionsError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    for finding in findings:
        print(finding)
    return EXIT_FATAL if any(finding.kind == check.ERROR for finding in findings) else EXIT_OK


def reminders(argv: Sequence[str]) -> int:
    """Show reminders, or move them into the scheduler."""
    if argv[:1] != ["migrate"]:
        return look("reminders", argv)
    from dapr_state.runtime import flags  # noqa: PLC0415
    from dapr_state.runtime.options import Options, OptionsError  # noqa: PLC0415

    try:
        options = Options.of(flags.parse(argv[1:]), os.environ)
    except (flags.UsageError, OptionsError) as error:
        print(f"dapr-state: {error}", file=sys.stderr)
        return EXIT_USAGE
    if not options.scheduler_addresses:
        print("dapr-state: where to? give --scheduler-host-address", file=sys.stderr)
        return EXIT_USAGE
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from dapr_state.runtime import migrate  # noqa: PLC0415

    return migrate.run(options, lambda line: print(line, flush=True))


def _parser(command: str) -> ArgumentParser:
    from argparse import ArgumentParser  # noqa: PLC0415

    return ArgumentParser(f"dapr-state {command}")


def _serve(parsed: flags.Parsed) -> int:
    import logging  # noqa: PLC0415

    from dapr_state.observability import logs  # noqa: PLC0415
    from dapr_state.runtime.options import Options, OptionsError  # noqa: PLC0415

    try:
        logs.configure(
            app_id=parsed["app-id"],
            level=parsed["log-level"],
            as_json=parsed["log-as-json"],
            file=parsed["log-file"],
        )
        options = Options.of(parsed, os.environ)
    except (logs.LogOptionsError, OptionsError) as error:
        logging.getLogger("dapr.runtime").critical("%s", error)
        return EXIT_FATAL

    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # its C core writes lines of its own into ours
    # the servers take most of the start time, and a command line error needs none of them
    from dapr_state.runtime import sidecar  # noqa: PLC0415

    return sidecar.run(options)


def _refuse(error: flags.UsageError) -> int:
    from dapr_state.runtime import flags  # noqa: PLC0415

    # both outputs get the line: scripts that start daprd read either
    if not error.wants_help:
        print(error, file=sys.stderr)
    print(f"Usage of dapr-state serve:\n{flags.usage()}", file=sys.stderr)
    print(error)
    return EXIT_USAGE
