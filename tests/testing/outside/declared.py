"""What an outsider declares, in his conftest.py: his store, and where it keeps its values."""

import pytest
from store import TinyStore

from dapr_state.testing.stores import Ability, Declaration, Feature, Place, kind, over, pytest_pyfunc_call  # noqa: F401

pytest_generate_tests = over(
    Declaration(
        "tiny",
        (Feature.ETAG, Feature.TRANSACTIONAL),
        frozenset({Ability.ANY_KEY, Ability.NUL_KEY, Ability.JSON_AS_TEXT}),
        foreign_etag="999999",
    )
)


@pytest.fixture
def tiny() -> Place:
    return Place(TinyStore, wipe=lambda: None)
