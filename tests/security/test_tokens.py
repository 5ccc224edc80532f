"""The API token itself: what matches it, and what never shows it."""

from __future__ import annotations

import pytest

from dapr_state.security.tokens import MISMATCH, MISSING, ApiToken


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("secret", None),
        (b"secret", None),
        (None, MISSING),
        ("", MISMATCH),
        ("Secret", MISMATCH),
        ("secret ", MISMATCH),
        ("secre", MISMATCH),
        ("sécret", MISMATCH),
        ("\udcff", MISMATCH),
    ],
)
def test_only_the_very_token_matches(given: str | bytes | None, problem: str | None) -> None:
    """Any other text is a mismatch, none at all is missing."""
    assert ApiToken("secret").problem(given) == problem


def test_a_token_may_have_any_letters() -> None:
    """Headers come as UTF-8 bytes or as text with surrogates."""
    assert ApiToken("pässwörd").problem("pässwörd".encode()) is None
    assert ApiToken("pässwörd").problem("pässwörd") is None


def test_a_token_is_not_in_its_repr() -> None:
    """A repr may be logged."""
    assert repr(ApiToken("hunter2")) == "<ApiToken>"
