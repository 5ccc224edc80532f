"""`dapr-state reminders migrate`: reminders out of the actor state store into Dapr's scheduler, with progress."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from dapr_state.actors.gate import AwayError
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.scheduler.calls import CallError, Calls
from dapr_state.actors.scheduler.hosts import Hosts
from dapr_state.actors.scheduler.jobs import Identity
from dapr_state.actors.scheduler.migration import Migration
from dapr_state.actors.state import NoStoreError
from dapr_state.clock import WAITING
from dapr_state.resources import configuration_files
from dapr_state.resources.configuration import ConfigurationError
from dapr_state.resources.loader import LoadError
from dapr_state.runtime.application import DEFAULT_NAMESPACE
from dapr_state.runtime.components import ComponentError, Components
from dapr_state.runtime.credentials import CredentialsError, credentials
from dapr_state.runtime.opening import open_components
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.actors.scheduler.migration import Report
    from dapr_state.runtime.options import Options

    Tell = Callable[[str], object]

OK: Final = 0
FAILED: Final = 1  # something stays where it is
INTERRUPTED: Final = 130  # as a shell has it
PROGRESS: Final = 1.0  # seconds between two lines of progress
PATIENCE: Final = 2.0  # seconds for what is under way when it is interrupted


def run(options: Options, tell: Tell) -> int:
    """The exit status; `tell` is told each line."""
    try:
        return asyncio.run(_run(options, tell))
    except (ComponentError, ConfigurationError, CredentialsError, LoadError, StoreError) as error:
        tell(f"dapr-state: {error}")
    except KeyboardInterrupt:  # before anything has begun
        return INTERRUPTED
    except NoStoreError:
        tell("dapr-state: there is no actor state store: give the flags of the sidecar whose reminders are to be moved")
    except (AwayError, CallError) as error:
        tell(f"dapr-state: the scheduler at {', '.join(options.scheduler_addresses)} does not take them: {error}")
    return FAILED


async def _run(options: Options, tell: Tell) -> int:
    known = credentials(options)
    components = Components(options.app_id, options.namespace)
    hosts = Hosts(options.scheduler_addresses, known.service("dapr-scheduler") if known else None)
    try:
        if known:
            await known.begin()
        await open_components(options, components, configuration_files.load(options.config_paths, options.environment))
        store = components.actor_store
        if store is None:
            raise NoStoreError
        table = StoredReminders(options.app_id, lambda: store)
        hosts.begin()
        me = Identity(options.app_id, options.namespace or DEFAULT_NAMESPACE)
        return await _migrate(Migration(store, table, Calls(hosts), me, tell), tell)
    finally:
        await hosts.close()
        await components.close()
        if known:
            await known.close()


async def _migrate(migration: Migration, tell: Tell) -> int:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    moving, stopping = asyncio.ensure_future(migration.run()), asyncio.ensure_future(asked.wait())
    try:
        while not (moving.done() or stopping.done()):
            await WAITING.wait([moving, stopping], timeout=PROGRESS, return_when=asyncio.FIRST_COMPLETED)
            if not moving.done() and migration.report.total:
                tell(f"{migration.report.left} of {migration.report.total} to go")
        if not moving.done():
            migration.stop()
            await WAITING.wait([moving], timeout=PATIENCE)
            tell(f"{_summary(migration.report)}; interrupted: the same command goes on with the rest")
            return INTERRUPTED
        await moving
    finally:
        for task in (moving, stopping):
            task.cancel()
        await asyncio.wait([moving, stopping])
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    tell(_summary(migration.report))
    if migration.report.left > 0:
        tell("dapr-state: the store was away for so long that another migration may have begun: the same again goes on")
    return FAILED if migration.report.stay or migration.report.left > 0 else OK


def _summary(report: Report) -> str:
    parts = [f"{report.moved} of {report.total} reminders moved"]
    if report.superseded:
        parts.append(f"{report.superseded} removed, for the scheduler has others of their names")
    if report.stay:
        parts.append(f"{report.stay} stay, and fire from the store")
    return ", ".join(parts)
