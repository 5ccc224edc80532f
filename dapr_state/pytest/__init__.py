"""Tests of applications that use Dapr: a real sidecar, empty for each test, whose clock is moved and that can fail.

It needs pytest and the standard library alone, and talks to the sidecar over HTTP: beside any protobuf, from any
environment. What is public stands in `__all__`; it is loaded when it is first asked for, as pytest loads the plugin in
every run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dapr_state.pytest import factories
    from dapr_state.pytest.actors import Actor, Actors, Reminder, Timer
    from dapr_state.pytest.application import Applications, Served
    from dapr_state.pytest.calls import Call
    from dapr_state.pytest.client import DaprError, SidecarEnded
    from dapr_state.pytest.clock import Advanced, Clock
    from dapr_state.pytest.components import Component
    from dapr_state.pytest.faults import Fault
    from dapr_state.pytest.process import Settings
    from dapr_state.pytest.sidecar import Dapr
    from dapr_state.pytest.starting import Sidecars
    from dapr_state.pytest.state import Entry, State

_HOMES = {
    "Actor": "actors",
    "Actors": "actors",
    "Advanced": "clock",
    "Applications": "application",
    "Call": "calls",
    "Clock": "clock",
    "Component": "components",
    "Dapr": "sidecar",
    "DaprError": "client",
    "Entry": "state",
    "Fault": "faults",
    "Reminder": "actors",
    "Served": "application",
    "Settings": "process",
    "SidecarEnded": "client",
    "Sidecars": "starting",
    "State": "state",
    "Timer": "actors",
}
__all__ = [
    "Actor",
    "Actors",
    "Advanced",
    "Applications",
    "Call",
    "Clock",
    "Component",
    "Dapr",
    "DaprError",
    "Entry",
    "Fault",
    "Reminder",
    "Served",
    "Settings",
    "SidecarEnded",
    "Sidecars",
    "State",
    "Timer",
    "factories",
]


def __getattr__(name: str) -> Any:
    if name == "factories":
        return import_module("dapr_state.pytest.factories")
    if name in _HOMES:
        return getattr(import_module(f"dapr_state.pytest.{_HOMES[name]}"), name)
    raise AttributeError(name)
