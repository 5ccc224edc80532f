"""The contract over every store that is declared in conftest.py."""

from dapr_state.testing.stores.contract import *
