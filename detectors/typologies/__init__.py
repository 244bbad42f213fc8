"""The typologies, one file each, ``tNN_name.py``. They never import each other.

Nothing lists them: whatever file of that name stands in this folder is a typology, in the order of the names. So adding
one is adding a file, and the order in which detectors are asked does not depend on the file system.
"""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

from msgspec import Struct

from detectors.detector import Detector

_NAMED = re.compile(r"^t\d\d_\w+$")


def _detector_in(module_name: str) -> type[Detector]:
    """The one class of a module that has a code of its own; the code begins the module's name."""
    module = import_module(f"{__name__}.{module_name}")
    makes = [
        value for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and isinstance(getattr(value, "code", None), str)
    ]  # fmt: skip
    assert len(makes) == 1, f"{module.__name__} holds {len(makes)} typologies where one file holds one"
    make: type[Detector] = makes[0]
    assert module_name.startswith(f"{make.code.lower()}_"), f"{module.__name__} holds {make.code}"
    return make


TYPOLOGIES: tuple[type[Detector], ...] = tuple(
    _detector_in(name) for name in sorted(found.name for found in iter_modules(__path__) if _NAMED.match(found.name))
)

PARAMETER_TYPES: dict[str, type[Struct]] = {make.code: make.Parameters for make in TYPOLOGIES}
"""Typology code -> the type of its parameters in a rule set."""
