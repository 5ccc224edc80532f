"""An actor as a test looks at it, calls it, and has it end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dapr_state.pytest.client import FIRST_ERROR, error_of, segment
from dapr_state.pytest.clock import to_datetime
from dapr_state.pytest.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from dapr_state.pytest.client import Client

PAGE: Final = 1000


@dataclass(frozen=True)
class Reminder:
    """One reminder as it is kept."""

    name: str
    next_at: datetime | None = None
    period: str = ""


@dataclass(frozen=True)
class Timer:
    """One timer that runs."""

    name: str
    next_at: datetime | None = None
    period: str = ""
    callback: str = ""


class Actor:
    def __init__(
        self, client: Client, actor_type: str, actor_id: str, store: str, check: Callable[[str], None] = lambda _: None
    ) -> None:
        self.type = actor_type
        self.id = actor_id
        self._client = client
        self._store = store
        self._check = check
        self._path = f"actors/{segment(actor_type)}/{segment(actor_id)}"

    def __repr__(self) -> str:
        return f"<Actor {self.type}/{self.id}>"

    @property
    def state(self) -> State:
        return State(self._client, self._store, space="ACTORS", before=f"{self.type}||{self.id}||")

    @property
    def reminders(self) -> list[Reminder]:
        told = self._client.ask("GET", "reminders", type=self.type, id=self.id, pageSize=PAGE)
        return [Reminder(each["name"], _when(each), each.get("period", "")) for each in told.get("reminders", ())]

    @property
    def timers(self) -> list[Timer]:
        told = self._client.ask("GET", "timers", type=self.type, id=self.id, pageSize=PAGE)
        return [
            Timer(each["name"], _when(each), each.get("period", ""), each.get("callback", ""))
            for each in told.get("timers", ())
        ]

    @property
    def active(self) -> bool:
        return bool(self._client.ask("GET", self._path).get("active"))

    @property
    def busy(self) -> bool:
        """Whether it has a turn at this moment."""
        return bool(self._client.ask("GET", self._path).get("busy"))

    def invoke(self, method: str, data: Any = None) -> Any:
        """Call a method as a client would, JSON in and out: faults are met, and the call is one of the test's."""
        self._check("actor(...).ainvoke")
        return self._invoke(method, data)

    async def ainvoke(self, method: str, data: Any = None) -> Any:
        """The same, where this event loop serves the application."""
        return await asyncio.to_thread(self._invoke, method, data)

    def _invoke(self, method: str, data: Any) -> Any:
        hosted = [each["name"] for each in self._client.ask("GET", "actors").get("types", ()) if each.get("hosted")]
        if self.type not in hosted:
            raise LookupError(
                f"no actor type {self.type!r} is hosted (hosted: {', '.join(hosted) or 'none'}); "
                "the application must be served with dapr_app"
            )
        body = b"" if data is None else json.dumps(data).encode()
        target = f"/v1.0/{self._path}/method/{segment(method)}"
        status, _, answer = self._client.send("POST", target, body, as_client=True)
        if status >= FIRST_ERROR:
            raise error_of(status, answer)
        return json.loads(answer) if answer else None

    def deactivate(self) -> None:
        """Have it end as one that has rested for long enough; a turn that runs is waited for."""
        self._check("actor(...).adeactivate")
        self._client.ask("POST", f"{self._path}:deactivate", {})

    async def adeactivate(self) -> None:
        await asyncio.to_thread(self._client.ask, "POST", f"{self._path}:deactivate", {})

    def delete(self) -> None:
        """Remove its state and its reminders, and have it end."""
        self._check("actor(...).adelete")
        self._client.ask("DELETE", self._path)

    async def adelete(self) -> None:
        await asyncio.to_thread(self._client.ask, "DELETE", self._path)

    def fire_reminder(self, name: str) -> None:
        """Deliver one tick now; its schedule stays as it is. Raises AssertionError if the application refuses it."""
        self._check("actor(...).afire_reminder")
        self._fire_reminder(name)

    async def afire_reminder(self, name: str) -> None:
        await asyncio.to_thread(self._fire_reminder, name)

    def _fire_reminder(self, name: str) -> None:
        _check_delivered(self._client.ask("POST", f"{self._path}/reminders/{segment(name)}:trigger", {"wait": True}))

    def fire_timer(self, name: str) -> None:
        """The same for a timer."""
        self._check("actor(...).afire_timer")
        self._fire_timer(name)

    async def afire_timer(self, name: str) -> None:
        await asyncio.to_thread(self._fire_timer, name)

    def _fire_timer(self, name: str) -> None:
        actor = {"type": self.type, "id": self.id}
        _check_delivered(self._client.ask("POST", "test/timers:trigger", {"actor": actor, "name": name}))


class Actors:
    """The ids of one type's actors that are known: of active ones, and of those with state or reminders."""

    def __init__(self, client: Client, actor_type: str) -> None:
        self.type = actor_type
        self._client = client

    def __repr__(self) -> str:
        return f"<Actors of {self.type}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids("ANY"))

    def __len__(self) -> int:
        return len(self._ids("ANY"))

    def __contains__(self, actor_id: object) -> bool:
        return actor_id in self._ids("ANY")

    @property
    def active(self) -> list[str]:
        return self._ids("ACTIVE")

    def _ids(self, which: str) -> list[str]:
        path, found, token = f"actors/{segment(self.type)}", [], None
        while token != "":
            page = self._client.ask("GET", path, which=which, pageSize=PAGE, pageToken=token)
            found += [each["actor"]["id"] for each in page.get("actors", ())]
            token = page.get("nextPageToken", "")
        return found


def _when(told: Any) -> datetime | None:
    return to_datetime(told["nextAt"]) if told.get("nextAt") else None


def _check_delivered(told: Any) -> None:
    if not told.get("delivered"):
        raise AssertionError(told.get("error") or "it was not delivered")
