"""The names of the features that every score rests on; :mod:`detectors.profile` says how each is made."""

from __future__ import annotations

from detectors.profile import NAMES

__all__ = ["NAMES"]
