"""His tests, in his test_contract.py."""

from dapr_state.testing.stores.contract import *
