"""Builds the compiled twins of the hot modules where a C compiler and Cython are there; without them everything still works."""

from __future__ import annotations

from setuptools import Extension, setup

HOT = (
    "detectors/profile.py", "detectors/learners/novelty.py", "detectors/learners/scorecard.py", "detectors/learners/trees.py",
)  # fmt: skip
# No fused multiply-add: a number has the same bits in the twin as in Python.
FLAGS = ["-O3", "-ffp-contract=off", "-Wno-unused-function", "-Wno-unreachable-code"]
DIRECTIVES = {
    "boundscheck": False, "wraparound": False, "cdivision": True, "initializedcheck": False, "annotation_typing": False,
    "language_level": 3,
}  # fmt: skip


def twins() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = [
        Extension(path.removesuffix(".py").replace("/", "."), [path], extra_compile_args=FLAGS, optional=True) for path in HOT
    ]
    return list(cythonize(modules, compiler_directives=DIRECTIVES, build_dir="build/cython", quiet=True))


setup(ext_modules=twins())
