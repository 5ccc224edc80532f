"""Faults that a test puts into the sidecar, and takes away again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state.pytest.client import ANSWER, NOT_FOUND, DaprError, SidecarEnded
from dapr_state.pytest.clock import to_text

if TYPE_CHECKING:
    from typing import Self

    from dapr_state.pytest.client import Client
    from dapr_state.pytest.clock import Duration

_ON: Final = {
    "get": "GET",
    "write": "WRITE",
    "transact": "TRANSACT",
    "any": "ANY_STORE",
    "app": "APP_CALL",
    "reminder": "REMINDER",
    "timer": "TIMER",
    "api": "API",
}
FAIL, IGNORE = "fail", "ignore"
_TEXTS: Final = ("store", "key", "actor", "method")
_COUNTS: Final = {"times": 1 << 32, "after": 1 << 32, "seed": 1 << 64}  # each is less
_NAMED: Final = (*_TEXTS, *_COUNTS, "probability", "unused")


class Fault:
    """One of them: it ends with its `with` block, with `remove`, or with the test. `hits` says how often it was met."""

    def __init__(self, client: Client, number: str, told: str, unused: str) -> None:
        self._client = client
        self._number = number
        self._told = told
        self._hits: int | None = None  # once it is taken away
        self.must_be_met = unused == FAIL

    def __repr__(self) -> str:
        return f"<Fault {self._told}>"

    def __str__(self) -> str:
        return self._told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    @property
    def hits(self) -> int:
        if self._hits is not None:
            return self._hits
        found = self._client.ask("GET", "test/faults").get("faults", [])
        return next((int(each["hits"]) for each in found if each["id"] == self._number), 0)

    def remove(self) -> None:
        """Those that hang in it go on, and fail."""
        if self._hits is not None:
            return
        try:
            told = self._client.ask("DELETE", f"test/faults/{self._number}", within=ANSWER)
        except SidecarEnded:  # with all its faults
            self._hits, self.must_be_met = 0, False
        except DaprError as error:
            if error.status != NOT_FOUND:
                raise
            self._hits = 0
        else:
            self._hits = int(told.get("hits", 0))


class Faults:
    """Those of one test."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._faults: list[Fault] = []

    def add(self, on: str, effect: dict[str, Any], *, unused: str = FAIL, **where: Any) -> Fault:
        if on not in _ON:
            raise ValueError(f"there is no fault on {on!r}: {', '.join(_ON)}")
        if unused not in (FAIL, IGNORE):
            raise ValueError(f'unused is "{FAIL}" or "{IGNORE}"')
        _check(where)
        actor_type, _, actor_id = (where.pop("actor", None) or "").partition("/")
        names = {"store": "store", "key": "keyPrefix", "method": "method", "times": "times", "after": "skip"}
        body = {"on": _ON[on], "actorType": actor_type, "actorId": actor_id, **effect}
        body |= {names.get(name, name): value for name, value in where.items() if value is not None}
        told = self._client.ask("POST", "test/faults", body)
        shown = [f"{name}={value}" for name, value in where.items() if name in {"store", "key", "method"} and value]
        if actor_type:
            shown.append(f"actor={actor_type}{f'/{actor_id}' if actor_id else ''}")
        if where.get("probability"):
            shown.append(f"probability={where['probability']} seed={where.get('seed') or 0}")
        fault = Fault(self._client, told["id"], " ".join([next(iter(effect)), on, *shown]), unused)
        self._faults.append(fault)
        return fault

    def remove(self) -> None:
        """Take all away, and remember how often each was met."""
        for fault in self._faults:
            fault.remove()

    def end(self) -> list[str]:
        """Take all away; those that nobody has met."""
        self.remove()
        unmet = [str(fault) for fault in self._faults if fault.must_be_met and not fault.hits]
        self._faults.clear()
        return unmet


def delay(seconds: Duration) -> dict[str, Any]:
    told = to_text(seconds)
    if told.startswith("-"):
        raise ValueError(f"a delay is 0 seconds or more, not {told}")
    return {"delay": told}


def _check(where: dict[str, Any]) -> None:
    """What the sidecar would not tell apart from what was not given at all."""
    for name, value in where.items():
        if name not in _NAMED:
            raise TypeError(f"a fault has no argument {name!r}: {', '.join(_NAMED)}")
        if value is None:
            continue
        if name in _TEXTS and not isinstance(value, str):
            raise TypeError(f"{name} is a text, not {value!r}")
        if name in _COUNTS and not (type(value) is int and 0 <= value < _COUNTS[name]):
            raise ValueError(f"{name} is a whole number from 0 on, not {value!r}")
        if name == "probability" and not (type(value) in {int, float} and 0 < value <= 1):
            raise ValueError(f"probability is above 0, and 1 at most, not {value!r}")
