"""What is asked of both sides about one actor, group by group."""

from __future__ import annotations

from tests.conformance.actors.cases_invoke import INVOKE, NOBODY
from tests.conformance.actors.cases_schedules import REMINDERS, TIMERS
from tests.conformance.actors.cases_state import STATE
from tests.conformance.actors.cases_turns import TURNS

ALL = [*INVOKE, *STATE, *REMINDERS, *TIMERS, *TURNS, *NOBODY]
