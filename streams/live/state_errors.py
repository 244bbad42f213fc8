"""Why the state of a book cannot be used or written; every message says what to do."""

from __future__ import annotations


class StateError(Exception):
    """The state of a book cannot be used."""


class OtherGeneration(StateError):
    """Written by another engine version or under another configuration."""


class NewerState(StateError):
    """Written by a later fundtrail."""


class DamagedState(StateError):
    """No complete checkpoint can be read."""


class UnreachableState(StateError):
    """The file cannot be opened, or another worker has it."""


class CheckpointFailed(StateError):
    """A checkpoint was not written; the one before still stands, and the next writes what this one should have."""
