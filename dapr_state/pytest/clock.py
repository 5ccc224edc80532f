"""The sidecar's clock, as a test reads and moves it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.pytest.client import Client

Duration = str | timedelta | float

_UNITS: Final[dict[str, int | Decimal]] = {
    "w": 604_800,
    "d": 86_400,
    "h": 3600,
    "m": 60,
    "s": 1,
    "ms": Decimal("0.001"),
}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[wdhms])")
_FRACTION: Final = re.compile(r"\.([0-9]+)")
_DIGITS: Final = 6  # of a second's fraction, that a datetime holds


@dataclass(frozen=True)
class Advanced:
    """What happened while time was moved on; `failures` has a sentence for each tick that failed."""

    reminders: int = 0
    timers: int = 0
    deactivations: int = 0
    expired: int = 0
    failures: tuple[str, ...] = ()
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Time as the sidecar's users see it. The application's own clock is not moved: hand it `now`, if it shall be."""

    def __init__(self, client: Client, check: Callable[[str], None] = lambda _: None) -> None:
        """`check` is told what is about to be called, and refuses what would wait for itself."""
        self._client = client
        self._check = check

    def __repr__(self) -> str:
        return f"<Clock at {self.now()}>"

    def now(self) -> datetime:
        """In UTC."""
        return to_datetime(self._ask()["now"])

    @property
    def moved(self) -> timedelta:
        """How far it is ahead of real time."""
        return timedelta(seconds=float(self._ask()["moved"].removesuffix("s")))

    @property
    def is_frozen(self) -> bool:
        return bool(self._ask()["frozen"])

    def freeze(self) -> None:
        """Let it stand still until it is moved, or goes on."""
        self._ask(frozen=True)

    def resume(self) -> None:
        self._ask(frozen=False)

    def advance(self, by: Duration, *, patience: float = 10, max_ticks: int = 10_000) -> Advanced:
        """Move time on, and return when all that fell due on the way is done.

        What is due is done at its own moment and in its order; what it causes as well, if it falls due within.
        Raises DaprError if something goes on for `patience` real seconds, or if there are more ticks than allowed.
        """
        self._check("clock.aadvance")
        body = {"by": to_text(by), "patience": f"{patience}s", "maxTicks": max_ticks}
        return _advanced(self._client.ask("POST", "test/advance", body))

    def set(self, to: datetime, *, patience: float = 10) -> Advanced:
        """Move on to that moment. Back it goes only where the sidecar is empty."""
        self._check("clock.aset")
        moment = to.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return _advanced(self._client.ask("POST", "test/setTime", {"to": moment, "patience": f"{patience}s"}))

    async def aadvance(self, by: Duration, *, patience: float = 10, max_ticks: int = 10_000) -> Advanced:
        """The same, where this event loop serves the application."""
        plain = Clock(self._client)
        return await asyncio.to_thread(plain.advance, by, patience=patience, max_ticks=max_ticks)

    async def aset(self, to: datetime, *, patience: float = 10) -> Advanced:
        return await asyncio.to_thread(Clock(self._client).set, to, patience=patience)

    def _ask(self, **wanted: Any) -> Any:
        return self._client.ask("POST", "test/clock", wanted)


def to_text(by: Duration) -> str:
    """As JSON has a duration: `5400.5s`."""
    if isinstance(by, timedelta):
        return f"{by // timedelta(microseconds=1) / Decimal(1_000_000):f}s"
    if isinstance(by, str):
        return f"{_of_text(by):f}s"
    return f"{Decimal(str(by)):f}s"


def _of_text(text: str) -> Decimal:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration: write 7d, 1h30m, 59m59s, 250ms, a timedelta or seconds")
    return sum((Decimal(number) * _UNITS[unit] for number, unit in parts), Decimal(0))


def to_datetime(text: str) -> datetime:
    """Of a time as JSON has it, with up to nine digits of a second's fraction."""
    short = _FRACTION.sub(lambda found: f".{found[1][:_DIGITS].ljust(_DIGITS, '0')}", text)
    return datetime.fromisoformat(short)


def _advanced(told: Any) -> Advanced:
    return Advanced(
        reminders=int(told.get("reminders", 0)),
        timers=int(told.get("timers", 0)),
        deactivations=int(told.get("deactivations", 0)),
        expired=int(told.get("expired", 0)),
        failures=tuple(told.get("failures", ())),
        now=to_datetime(told["now"]),
    )
