"""What is asked of the application, and what it answers."""

from __future__ import annotations

from msgspec import Struct

Headers = tuple[tuple[str, str], ...]

CANCEL_HEADER = "x-daprremindercancel"
_TRUTHY = frozenset({"y", "yes", "true", "t", "on", "1"})


class ActorId(Struct, frozen=True):
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}||{self.id}"


class ActorCall(Struct, frozen=True):
    """One call of an actor's method, as the caller sent it.

    `headers` are the caller's own, in its order and spelling; the channel leaves out what belongs to one connection,
    and adds what the sidecar says of itself. `query` has no question mark.
    """

    actor: ActorId
    method: str
    body: bytes = b""
    headers: Headers = ()
    query: str = ""


class Trigger(Struct, frozen=True):
    """One fire of a reminder or a timer. `data` is JSON text, None where none was given."""

    actor: ActorId
    name: str
    data: bytes | None = None
    due_time: str = ""
    period: str = ""
    callback: str = ""  # timers only


class AppAnswer(Struct, frozen=True):
    """What the application answered with status 200: every other answer is an AppError.

    `headers` are those that go on to the caller; the first `content-type` among them is the body's.
    """

    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first value of a header, by its lower-case name; empty if it is not there."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def cancels_reminder(self) -> bool:
        return self.header(CANCEL_HEADER).strip().lower() in _TRUTHY


class AppError(Exception):
    """The application did not do what it was asked; the text is the detail that daprd gives."""


class MissingMethodError(AppError):
    """The application has no such method: it is there, and has said so."""

    BEGINNING = "actor method not found: "


class UnreachableError(AppError):
    """The application was not there: it has not seen the request."""
