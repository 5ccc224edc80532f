"""How an `async def` test is run: on a loop of its own, the loop that the sidecar runs on."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
import uvloop

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# For one test. An alarm, as pytest-timeout sets it, does not interrupt a loop that waits for ever
SECONDS: Final = 110


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run it, if it is one."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(pyfuncitem.obj, arguments))
    return True


async def _run(test: Callable[..., Awaitable[None]], arguments: dict[str, Any]) -> None:
    """Those of the arguments that are asynchronous context managers are entered for as long as the test lasts."""
    async with WAITING.timeout(SECONDS), AsyncExitStack() as stack:
        for name, value in arguments.items():
            if isinstance(value, AbstractAsyncContextManager):
                arguments[name] = await stack.enter_async_context(value)
        await test(**arguments)
