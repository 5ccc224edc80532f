"""What is asked of both sides about one actor, group by group."""

from __future__ import annotations

from tests.conformance.actors.cases_invoke import INVOKE, NOBODY
from tests.conformance.actors.cases_schedules import REMINDERS, TIMERS
from tests.conformance.actors.cases_state import STATE
from tests.conformance.actors.cases_turns import TURNS
from tests.conformance.differences import Suite

ALL = [*INVOKE, *STATE, *REMINDERS, *TIMERS, *TURNS, *NOBODY]

SUITE = Suite.of(__file__, ALL, ("daprd",))
