"""How hypothesis behaves in all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: the machine is shared. Under CI the examples are the same each time, so that a red run means the change.
settings.register_profile("fundtrail", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("fundtrail")
