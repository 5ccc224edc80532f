"""What is recorded of daprd's JSON parser is what daprd says, and both sidecars say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.golang.odd_texts import ODD
from tests.support.client import item

if TYPE_CHECKING:
    from tests.support.recorded import Recorded
    from tests.support.sidecar import Sidecar


def said_of(server: Sidecar, text: bytes) -> str | None:
    with server.client() as client:
        return client.save("mem", item("odd", text, metadata={"contentType": "application/json"})).message or None


@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text[:40]))
def test_an_odd_text_is_refused_in_daprds_words(sidecar: Sidecar, text: bytes, recorded: Recorded) -> None:
    """A value that is declared to be JSON, and is not quite, is refused as daprd refuses it."""
    theirs = recorded(repr(text), lambda daprd: said_of(daprd, text))

    assert said_of(sidecar, text) == theirs == ODD[text]
