"""What is stored: a mapping of keys to bytes, to look into and to arrange, past every fault."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dapr_state.pytest.client import NOT_FOUND, DaprError, segment
from dapr_state.pytest.clock import Duration, to_datetime, to_text

if TYPE_CHECKING:
    from datetime import datetime

    from dapr_state.pytest.client import Client

PAGE: Final = 1000


@dataclass(frozen=True)
class Entry:
    """One key's value, with what the store says of it."""

    value: bytes
    etag: str = ""
    expires_at: datetime | None = None

    @property
    def content_type(self) -> str:
        """What the value is: JSON text, or anything else."""
        try:
            json.loads(self.value)
        except ValueError:
            return "application/octet-stream"
        return "application/json"


class State(MutableMapping[str, bytes]):
    """The keys of one store as the application writes them; of an actor, those of its own state."""

    def __init__(self, client: Client, store: str, *, space: str = "", before: str = "") -> None:
        self._client = client
        self._path = f"state/{segment(store)}"
        self._store = store
        self._space = space
        self._before = before

    def __repr__(self) -> str:
        return f"<State of {self._store}{f' {self._before}' if self._before else ''}>"

    def __getitem__(self, key: str) -> bytes:
        return self.entry(key).value

    def __setitem__(self, key: str, value: bytes) -> None:
        self.put(key, value)

    def __delitem__(self, key: str) -> None:
        self.entry(key)
        self._client.ask("DELETE", f"{self._path}/entry", **self._named(key))

    def __contains__(self, key: object) -> bool:
        try:
            self.entry(str(key))
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def keys(self, prefix: str = "") -> list[str]:  # type: ignore[override]  # a list, with a prefix
        """All keys that begin with `prefix`, sorted."""
        found: set[str] = set()
        token = None
        while token != "":
            page = self._client.ask(
                "GET",
                f"{self._path}/keys",
                prefix=self._before + prefix,
                pageSize=PAGE,
                pageToken=token,
                space=self._space,
            )
            found |= {each["key"].removeprefix(self._before) for each in page.get("entries", ())}
            token = page.get("nextPageToken", "")
        return sorted(found)

    def json(self, key: str) -> Any:
        """The value as it is in JSON; numbers are exact: `int`, or `Decimal`."""
        return json.loads(self[key], parse_float=Decimal)

    def entry(self, key: str) -> Entry:
        """Raises KeyError if there is none."""
        try:
            told = self._client.ask("GET", f"{self._path}/entry", **self._named(key), maxBytes=1 << 30)
        except DaprError as error:
            if error.status == NOT_FOUND:
                raise KeyError(key) from None
            raise
        row = told.get("entry", {})
        ends = row.get("expiresAt")
        return Entry(base64.b64decode(row.get("value", "")), row.get("etag", ""), to_datetime(ends) if ends else None)

    def put(self, key: str, value: bytes | str | Any, ttl: Duration | None = None) -> None:
        """Keep octets as they are, a text as UTF-8, and anything else as JSON."""
        octets = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else _json(value)
        body = {**self._named(key), "value": base64.b64encode(octets).decode()}
        if ttl is not None:
            body["expireIn"] = to_text(ttl)
        self._client.ask("POST", f"{self._path}/entry", body)

    def clear(self) -> None:
        for key in self.keys():
            self._client.ask("DELETE", f"{self._path}/entry", **self._named(key))

    def _named(self, key: str) -> dict[str, Any]:
        return {"key": self._before + key, **({"space": self._space} if self._space else {})}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
