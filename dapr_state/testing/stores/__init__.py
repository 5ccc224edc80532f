"""The contract of stores as tests: declare a store and where it keeps its values, and they run over it.

# conftest.py
from dapr_state.testing.stores import Ability, Declaration, Feature, Place, kind, over, pytest_pyfunc_call

pytest_generate_tests = over(Declaration("mine", (Feature.ETAG,), frozenset({Ability.DURABLE}), foreign_etag="9"))

@pytest.fixture
def mine(tmp_path):
    return Place(lambda: MyStore(tmp_path), wipe=lambda: None)

# test_contract.py
from dapr_state.testing.stores.contract import *
"""

from dapr_state.stores.model import Feature
from dapr_state.testing.running import pytest_pyfunc_call
from dapr_state.testing.stores.declaring import Ability, Declaration, Place, kind, over

__all__ = ["Ability", "Declaration", "Feature", "Place", "kind", "over", "pytest_pyfunc_call"]
