"""What those who write a store of their own test it with; needs pytest and hypothesis."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.stores")  # else a test that fails says nothing of the values
