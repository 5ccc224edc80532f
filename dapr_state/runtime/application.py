"""The application, as the options say: the way to it, its health check, and the wait for its port."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from dapr_state.actors.registration import HttpRegistrar, Registrar, StreamRegistrar
from dapr_state.app.callbacks import Caller
from dapr_state.app.client import Client, Http1Client
from dapr_state.app.health import HealthCheck, Pace, probe_grpc, probe_http
from dapr_state.app.http import HttpChannel
from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dapr_state.actors.registration import RegistrationTarget
    from dapr_state.runtime.options import Options

DEFAULT_NAMESPACE: Final = "default"
_GRPC: Final = frozenset({"grpc", "grpcs"})
_TLS: Final = frozenset({"https", "grpcs"})

PERIOD: Final = 0.1  # between two attempts; these three are daprd's
ATTEMPT: Final = 0.5
REMINDER: Final = 10.0

log = logging.getLogger("dapr.runtime")
channel_log = logging.getLogger("dapr.runtime.channels")


def registrar(options: Options, target: RegistrationTarget) -> Registrar | None:
    """None where no port of an application is given."""
    if not options.app_port:
        return None
    caller = Caller(options.app_id, options.namespace or DEFAULT_NAMESPACE, options.app_api_token)
    if options.app_protocol in _GRPC:
        # protobuf takes 12 ms, and an application that speaks HTTP does not need it for its actors
        from dapr_state.app.stream import StreamChannel  # noqa: PLC0415

        return StreamRegistrar(target, StreamChannel(caller, options.app_max_concurrency), options.disseminate_timeout)
    channel = HttpChannel(_client(options, options.app_max_concurrency), caller)
    skip = "config" in options.disable_init_endpoints
    return HttpRegistrar(target, channel, options.disseminate_timeout, skip=skip)


def health(options: Options) -> Callable[[Callable[[bool], Awaitable[None]]], HealthCheck] | None:
    """What `Registrar.begin` wants: None where the application's health is not asked for."""
    if not options.app_health_check:
        return None
    client = _client(options, 1)  # of its own: a probe does not wait behind calls
    path = options.app_health_check_path
    pace = Pace(options.app_health_probe_interval, options.app_health_probe_timeout, options.app_health_threshold)

    async def probe() -> None:
        if options.app_protocol in _GRPC:
            await probe_grpc(client)
        else:
            await probe_http(client, path)

    return lambda changed: HealthCheck(probe, pace, changed)


def announce(options: Options) -> None:
    """Say so where there is no application to call."""
    if not options.app_port:
        channel_log.warning("App channel is not initialized. Did you configure an app-port?")


async def until_listening(options: Options) -> None:
    """Return when the application accepts connections; at once where no port of it is given."""
    port = options.app_port
    if not port:
        return
    log.info(
        "application protocol: %s. waiting on port %d.  This will block until the app is listening on that port.",
        options.app_protocol,
        port,
    )
    reminder = WAITING.monotonic() + REMINDER
    while not await _accepts(options.app_channel_address, port):
        if WAITING.monotonic() >= reminder:
            log.info("waiting for application to listen on port %d", port)
            reminder += REMINDER
        await WAITING.sleep(PERIOD)
    log.info("application discovered on port %d", port)


async def is_listening(options: Options) -> bool:
    """Whether the application accepts connections at this moment."""
    return bool(options.app_port) and await _accepts(options.app_channel_address, options.app_port)


async def pause() -> None:
    await WAITING.sleep(PERIOD)


async def _accepts(host: str, port: int) -> bool:
    try:
        async with WAITING.timeout(ATTEMPT):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # a timeout is one
        return False
    writer.close()
    return True


def _client(options: Options, max_concurrency: int) -> Client:
    host, port, tls = options.app_channel_address, options.app_port, options.app_protocol in _TLS
    if options.app_protocol in {"http", "https"}:
        return Http1Client(host, port, tls=tls, max_concurrency=max_concurrency)
    # h2 is 1.3 MB and 30 ms that most sidecars never need
    from dapr_state.app.http2 import Http2Client  # noqa: PLC0415

    return Http2Client(host, port, tls=tls, max_concurrency=max_concurrency)
