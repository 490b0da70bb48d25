"""What every implementation of a protocol must do, as classes of tests to inherit from."""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in ("ledger", "source", "transport")))
