"""What keeps a module of the core from giving the same answer everywhere: found in its syntax, one sentence each."""

from __future__ import annotations

import ast
from collections.abc import Iterator

IMPORTS_ALLOWED = frozenset(
    """__future__ abc array bisect collections copy dataclasses datetime enum fractions functools hashlib heapq itertools json
    math msgspec numpy operator random re statistics string struct types typing unicodedata zlib detectors""".split()
)
"""Anything else reads or writes the world, waits, or needs a broker. River is let in where it is used: in learners."""

BUILTINS_BANNED = {
    "open": "reads a file",
    "print": "writes to the terminal",
    "input": "asks the terminal",
    "hash": "differs from run to run for text",
    "exec": "runs text",
    "eval": "runs text",
    "breakpoint": "stops the program",
    "__import__": "hides an import",
}

CLOCK_CALLS = {"now", "today", "utcnow"}
ORDER_FREE = {"sorted", "sum", "min", "max", "any", "all", "len", "set", "frozenset", "Counter"}
"""Callers to whom the order of what they are given makes no difference."""

ORDER_TAKING = {
    "list",
    "tuple",
    "iter",
    "enumerate",
    "zip",
    "map",
    "filter",
    "reversed",
    "dict",
    "deque",
    "join",
    "extend",
    "fromkeys",
}
"""Callers that keep the order of what they are given."""

SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}


def impurities(source: str, *, learner: bool = False, index: bool = False) -> list[str]:
    """``line N: what is wrong``, in the order of the lines.

    Args:
        learner: river is let in.
        index: the module finds its neighbours, as the index of the typologies does; importing them is no input.
    """
    tree = ast.parse(source)
    found = [*_imports(tree, learner, index), *_calls(tree), *_set_orders(tree)]
    return [f"line {line}: {what}" for line, what in sorted(set(found))]


def _imports(tree: ast.AST, learner: bool, index: bool) -> Iterator[tuple[int, str]]:
    allowed = IMPORTS_ALLOWED | ({"river"} if learner else set()) | ({"importlib", "pkgutil"} if index else set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
            if node.module == "random":
                yield from ((node.lineno, f"random.{a.name} is unseeded") for a in node.names if a.name != "Random")
        else:
            continue
        yield from ((node.lineno, f"import of {name}") for name in names if name.partition(".")[0] not in allowed)


def _calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from _unseeded(node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in BUILTINS_BANNED:
            yield node.lineno, f"{node.id}() {BUILTINS_BANNED[node.id]}"
        if isinstance(node, (ast.Compare, ast.keyword)):
            yield from _memory_order(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _clock(node, node.func)
            yield from _unseeded_generator(node, node.func)


def _memory_order(node: ast.Compare | ast.keyword) -> Iterator[tuple[int, str]]:
    """``id()`` may tell one object from another, but its numbers have no order that a second run repeats."""
    if isinstance(node, ast.keyword):
        if node.arg == "key" and any(isinstance(part, ast.Name) and part.id == "id" for part in ast.walk(node.value)):
            yield node.value.lineno, "key=id sorts by memory address"
    elif any(isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for op in node.ops):
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Call) and ast.unparse(side.func) == "id" for side in sides):
            yield node.lineno, "compares memory addresses"


def _clock(call: ast.Call, method: ast.Attribute) -> Iterator[tuple[int, str]]:
    if method.attr in CLOCK_CALLS and _last_name(method.value) in {"datetime", "date", "Timestamp"}:
        yield call.lineno, f"{method.attr}() reads the clock"
    if method.attr == "fromtimestamp" and len(call.args) + len(call.keywords) < 2:
        yield call.lineno, "fromtimestamp() without a zone reads the machine's"
    if method.attr == "astimezone" and not call.args and not call.keywords:
        yield call.lineno, "astimezone() without a zone reads the machine's"


def _unseeded(node: ast.Attribute) -> Iterator[tuple[int, str]]:
    owner = ast.unparse(node.value)
    if owner == "random" and node.attr != "Random":
        yield node.lineno, f"random.{node.attr} is unseeded: take a Random as an argument"
    if owner in {"np.random", "numpy.random"} and node.attr not in {"Generator", "PCG64", "default_rng"}:
        yield node.lineno, f"{owner}.{node.attr} is unseeded: take a Generator as an argument"


def _unseeded_generator(call: ast.Call, method: ast.Attribute) -> Iterator[tuple[int, str]]:
    if method.attr in {"Random", "default_rng", "PCG64"} and not call.args and not call.keywords:
        yield call.lineno, f"{method.attr}() without a seed"


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _set_orders(tree: ast.AST) -> Iterator[tuple[int, str]]:
    sets = _names_of_sets(tree)
    indifferent = _order_free_comprehensions(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.For, ast.AsyncFor)) and _is_set(node.iter, sets):
            yield node.lineno, _order_sentence(node.iter)
        elif isinstance(node, (ast.ListComp, ast.DictComp, ast.GeneratorExp)) and node not in indifferent:
            yield from ((node.lineno, _order_sentence(part.iter)) for part in node.generators if _is_set(part.iter, sets))
        elif isinstance(node, ast.Call) and _last_name(node.func) in ORDER_TAKING:
            yield from ((node.lineno, _order_sentence(arg)) for arg in node.args if _is_set(arg, sets))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pop" and not node.args:
            if _is_set(node.func.value, sets):
                yield node.lineno, _order_sentence(node.func.value)
        elif isinstance(node, ast.Starred) and _is_set(node.value, sets):
            yield node.lineno, _order_sentence(node.value)


def _order_sentence(node: ast.expr) -> str:
    return f"takes a set, {ast.unparse(node)}, in its order: sort it, or keep a dict"


def _order_free_comprehensions(tree: ast.AST) -> set[ast.AST]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _last_name(node.func) in ORDER_FREE)
    return {arg for call in calls for arg in call.args}


def _names_of_sets(tree: ast.AST) -> set[str]:
    """``name`` and ``.attribute`` of whatever the module itself annotates as, or assigns, a set; scopes are not told apart."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None and _says_set(node.annotation):
            names.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and _says_set(node.annotation):
            names.add(_handle(node.target))
        elif isinstance(node, ast.Assign) and _is_set(node.value, set()):
            names.update(_handle(target) for target in node.targets)
        elif isinstance(node, ast.ClassDef):
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and _says_set(part.annotation)]
            names.update(f".{_handle(part.target)}" for part in fields)
    return names


def _handle(node: ast.expr) -> str:
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)


def _says_set(annotation: ast.expr) -> bool:
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return _last_name(outer) in {"set", "frozenset", "Set", "AbstractSet"}


def _is_set(node: ast.expr, sets: set[str]) -> bool:
    if isinstance(node, (ast.Set, ast.SetComp)):
        return True
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _handle(node) in sets
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)):
        return _is_set(node.left, sets) or _is_set(node.right, sets)
    if not isinstance(node, ast.Call):
        return False
    called = _last_name(node.func)
    return called in {"set", "frozenset"} or (called in SET_METHODS and isinstance(node.func, ast.Attribute))
