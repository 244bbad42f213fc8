"""The product beside its peers, on the same files, in the same run: how well each ranks, and how fast.

Usage: ``python benchmarks/peers.py DIR [--first N] [--labels delayed:7,...] [--skip NAME,...] [--json FILE]``

* **product**: ``fundtrail evaluate``'s own fold, scores as the live path gives them, under each plan of outcomes;
* **pass-through**: how nearly the payer sends on what it received within three days before; no labels;
* **hst**: river's ``HalfSpaceTrees(25)``, online, on five running figures of the two accounts; no labels;
* **gfp-1**, **gfp-128**: IBM's Graph Feature Preprocessor by batches, and LightGBM on its features, trained on the first
  60 % with the labels at once and stopped early on the next 20 %: more than an online detector gets; windows of a week
  (three days for fans, cycles, scatter-gather), cycles of at most six payments;
* **gfp-128-wide**: the same with windows of thirty days throughout, cycles of ten, statistics of time and amount;
* **gfp-128+own**: LightGBM in the same way on GFP's features and the product's own as scored;
* **challenger**: LightGBM on the product's own features as scored, retrained every five days on labels seven days late.

Every method ranks the same payments: the last fifth of those from account to account. Speeds are payments per second of
processor time of one thread; for GFP of its features alone. *product, same payments* folds only the payments that the peers
see too.
Rows of equal scores are averaged over. Peers that are not installed are left out by name: see peers-requirements.txt.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from river.anomaly import HalfSpaceTrees

from streams.files.convert import convert
from streams.files.convert.payments import OUTSIDE
from streams.files.evaluate.answers import LABELS, TRANSACTIONS, Payments, read_payments
from streams.files.evaluate.labelling import DAY_MS, plan_of
from streams.files.evaluate.measures import Top, average_precision
from streams.files.evaluate.scoring import MEASURED_SHARE, Run, fold, kind_of, scores_of
from streams.settings import load_settings

PLANS = ("none", "feedback:0.01:7", "delayed:7")
RETRAIN_MS, LATE_MS = 5 * DAY_MS, 7 * DAY_MS
TREES = 400
LIGHTGBM = {
    "objective": "binary", "num_leaves": 31, "learning_rate": 0.05, "verbose": -1, "seed": 1, "num_threads": 1,
    "deterministic": True,
}  # fmt: skip


class Flows(NamedTuple):
    """The payments that are ranked, as columns, in the order of time."""

    payments: Payments
    payer: np.ndarray
    payee: np.ndarray
    amount: np.ndarray
    time_ms: np.ndarray


class Ranked(NamedTuple):
    """What a method came to. ``scores``: of all payments, or of the last fifth."""

    name: str
    scores: np.ndarray
    per_second: float | None
    seconds: float


def read_flows(directory: Path) -> Flows:
    """The columns behind the payments that evaluate ranks."""
    payments = read_payments(directory)
    table = pq.read_table(directory / TRANSACTIONS, columns=["txn_id", "payer", "payee"]).to_pydict()
    sides = dict(zip(table["txn_id"], zip(table["payer"], table["payee"], strict=True), strict=True))
    names: dict[str, int] = {}
    pairs = [[names.setdefault(name, len(names)) for name in sides[txn_id]] for txn_id in payments.txn_ids]
    payer, payee = np.array(pairs).T
    return Flows(payments, payer, payee, payments.amount_minor, payments.event_time_ms)


# --- the peers ----------------------------------------------------------------------------------------------------------


def pass_through(flows: Flows) -> Ranked:
    """The smaller of what is sent and what came in within three days, over the larger."""
    received: dict[int, deque[tuple[int, float]]] = defaultdict(deque)
    sums: dict[int, float] = defaultdict(float)
    scores = np.zeros(len(flows.payer))
    started = time.process_time()
    for row, (payer, payee, amount, at_ms) in enumerate(_rows(flows)):
        waiting = received[payer]
        while waiting and waiting[0][0] < at_ms - 3 * DAY_MS:
            sums[payer] -= waiting.popleft()[1]
        arrived = sums[payer]
        scores[row] = min(arrived, amount) / max(arrived, amount, 1.0)
        received[payee].append((at_ms, amount))
        sums[payee] += amount
    return _ranked("pass-through", scores, started)


def half_space_trees(flows: Flows) -> Ranked:
    """Scores before it learns, payment by payment; figures are squeezed into 0 to 1 as the trees need."""
    trees: Any = HalfSpaceTrees(n_trees=25, seed=1)
    sent: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])  # count, sum, time of the last
    got: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    scores = np.zeros(len(flows.payer))
    started = time.process_time()
    for row, (payer, payee, amount, at_ms) in enumerate(_rows(flows)):
        out, came = sent[payer], got[payee]
        features = {
            "amount": _squeezed(math.log10(1 + amount), 9),
            "usual": _squeezed(amount / (1 + out[1] / max(1.0, out[0])), 10),
            "sent": _squeezed(math.log1p(out[0]), 8),
            "got": _squeezed(math.log1p(came[0]), 8),
            "rest": _squeezed((at_ms - out[2]) / DAY_MS, 30) if out[0] else 1.0,
        }
        scores[row] = trees.score_one(features)
        trees.learn_one(features)
        for side in (out, came):
            side[0], side[1], side[2] = side[0] + 1, side[1] + amount, at_ms
    return _ranked("hst", scores, started)


def graph_features(flows: Flows, batch: int, wide: bool = False) -> tuple[np.ndarray, float]:
    """GFP's features of every payment, by batches in the order of time, and how many seconds that took."""
    from snapml import GraphFeaturePreprocessor

    long_s, short_s = (30 * 86_400, 30 * 86_400) if wide else (7 * 86_400, 3 * 86_400)
    preprocessor = GraphFeaturePreprocessor()
    preprocessor.set_params({
        "num_threads": 1, "time_window": long_s, "vertex_stats": True, "vertex_stats_tw": long_s,
        "vertex_stats_cols": [3, 4] if wide else [3], "fan": True, "fan_tw": short_s, "degree": True, "degree_tw": short_s,
        "scatter-gather": True, "scatter-gather_tw": short_s, "temp-cycle": True, "temp-cycle_tw": short_s, "lc-cycle": True,
        "lc-cycle_tw": short_s, "lc-cycle_len": 10 if wide else 6,
    })  # fmt: skip
    columns = (np.arange(len(flows.payer)), flows.payer, flows.payee, flows.time_ms // 1000, flows.amount)
    table = np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float64)
    started = time.process_time()
    features = np.concatenate([preprocessor.transform(table[at : at + batch]) for at in range(0, len(table), batch)])
    return features[:, 3:], time.process_time() - started


def graph_and_boosting(name: str, flows: Flows, batch: int, wide: bool = False, own: np.ndarray | None = None) -> Ranked:
    """Trained on the first 60 % with their labels at once, stopped early on the next 20 %; ``own``: features beside GFP's."""
    import lightgbm

    started = time.process_time()
    features, seconds = graph_features(flows, batch, wide)
    if own is not None:
        features = np.concatenate([features, own], axis=1)
    count, labels = len(features), flows.payments.positive.astype(int)
    first, second = int(count * 0.6), int(count * 0.8)
    fit = lightgbm.Dataset(features[:first], labels[:first])
    stop = lightgbm.Dataset(features[first:second], labels[first:second], reference=fit)
    model = lightgbm.train(
        LIGHTGBM | {"metric": "average_precision"},
        fit,
        TREES,
        valid_sets=[stop],
        callbacks=[lightgbm.early_stopping(40, verbose=False)],
    )
    return Ranked(name, np.asarray(model.predict(features)), count / seconds, time.process_time() - started)


def challenger(flows: Flows, features: np.ndarray) -> Ranked:
    """Retrained every five days, each time on all payments that are at least seven days old."""
    import lightgbm

    started = time.process_time()
    scores, labels, time_ms = np.zeros(len(features)), flows.payments.positive.astype(int), flows.time_ms
    begin, end = int(len(features) * (1 - MEASURED_SHARE)), len(features)
    at = begin
    while at < end:
        until = int(np.searchsorted(time_ms, time_ms[at] + RETRAIN_MS))
        known = int(np.searchsorted(time_ms, time_ms[at] - LATE_MS))
        if labels[:known].any():
            model = lightgbm.train(LIGHTGBM, lightgbm.Dataset(features[:known], labels[:known]), TREES // 2)
            scores[at:until] = model.predict(features[at:until])
        at = max(until, at + 1)
    return Ranked("challenger", scores, None, time.process_time() - started)


def _rows(flows: Flows) -> Any:
    return zip(flows.payer.tolist(), flows.payee.tolist(), flows.amount.tolist(), flows.time_ms.tolist(), strict=True)


def _squeezed(value: float, most: float) -> float:
    return min(1.0, max(0.0, value / most))


def _ranked(name: str, scores: np.ndarray, started: float) -> Ranked:
    seconds = time.process_time() - started
    return Ranked(name, scores, len(scores) / seconds, seconds)


# --- the product --------------------------------------------------------------------------------------------------------


def product(directory: Path, flows: Flows, plans: list[str], say: Callable[[str], None]) -> tuple[list[Ranked], np.ndarray]:
    """A fold under each plan, one over the same payments alone, and the features as scored."""
    configuration, found = load_settings().engine, []
    features: dict[str, tuple[float, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="fundtrail-") as name:
        topics = Path(name) / "all"
        convert(kind_of(directory), directory, topics)
        for plan in plans:
            run = fold(topics, configuration, plan_of(plan), flows.payments, 1, features if plan == plans[0] else None)
            found.append(_of_run(f"product, {plan}", run, flows, run.records))
            say(told(found[-1], flows))
        same = Path(name) / "same"
        convert(kind_of(directory), _only_between_accounts(directory, Path(name) / "folder"), same)
        run = fold(same, configuration, plan_of(plans[-1]), flows.payments, 1)
        found.append(_of_run("product, same payments", run, flows, run.records))
        say(told(found[-1], flows))
    width = max(map(len, features.values()), default=0)
    rows = [features.get(txn_id, (0.0,) * width) for txn_id in flows.payments.txn_ids]
    return found, np.array(rows, np.float64)


def _of_run(name: str, run: Run, flows: Flows, records: int) -> Ranked:
    return Ranked(name, scores_of(run, flows.payments), records / run.seconds, run.seconds)


def _only_between_accounts(directory: Path, out: Path) -> Path:
    """The folder without what the outside world pays and is paid."""
    table = pq.read_table(directory / TRANSACTIONS)
    sides = zip(table["payer"].to_pylist(), table["payee"].to_pylist(), strict=True)
    kept = [not (payer.startswith(OUTSIDE) or payee.startswith(OUTSIDE)) for payer, payee in sides]
    return _write(table.filter(pa.array(kept)), directory, out)


def first_of(directory: Path, rows: int, out: Path) -> Path:
    """The folder's first payments, for a quick look."""
    return _write(pq.read_table(directory / TRANSACTIONS).slice(0, rows), directory, out)


def _write(table: pa.Table, directory: Path, out: Path) -> Path:
    out.mkdir()
    pq.write_table(table, out / TRANSACTIONS)
    for path in directory.glob("*.csv"):
        (out / path.name).write_bytes(path.read_bytes())
    known = set(table["txn_id"].to_pylist())
    header, *labels = (directory / LABELS).read_text(encoding="utf-8").splitlines()
    kept = [label for label in labels if label.split(",")[0] in known]
    (out / LABELS).write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    return out


# --- side by side -------------------------------------------------------------------------------------------------------


def compare(directory: Path, plans: list[str], skip: set[str], say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Every method's figures by its name."""
    flows = read_flows(directory)
    methods: dict[str, Callable[[], Ranked]] = {
        "pass-through": lambda: pass_through(flows),
        "hst": lambda: half_space_trees(flows),
        "gfp-128": lambda: graph_and_boosting("gfp-128", flows, 128),
        "gfp-1": lambda: graph_and_boosting("gfp-1", flows, 1),
        "gfp-128-wide": lambda: graph_and_boosting("gfp-128-wide", flows, 128, wide=True),
    }
    ranked, features = product(directory, flows, plans, say)
    methods["gfp-128+own"] = lambda: graph_and_boosting("gfp-128+own", flows, 128, own=features)
    methods["challenger"] = lambda: challenger(flows, features)
    needed = {name: ("snapml", "lightgbm") for name in methods if name.startswith("gfp")} | {"challenger": ("lightgbm",)}
    for name, method in methods.items():
        absent = [module for module in needed.get(name, ()) if util.find_spec(module) is None]
        if absent:
            say(f"{name} is left out: {', '.join(absent)} is not installed. pip install -r benchmarks/peers-requirements.txt")
        elif name not in skip:
            ranked.append(method())
            say(told(ranked[-1], flows))
    return {each.name: figures(each, flows) for each in ranked}


def figures(ranked: Ranked, flows: Flows) -> dict[str, Any]:
    """How a method ranks the last fifth of the payments."""
    measured = flows.payments.last(MEASURED_SHARE)
    scores = ranked.scores[-len(measured.txn_ids) :]
    top = Top(scores, 0.01)
    return {
        "average_precision": average_precision(scores, measured.positive),
        "precision_at_0.01": top.precision(measured.positive),
        "recall_at_0.01": top.recall(measured.positive),
        "payments_per_second": ranked.per_second,
    }


def told(ranked: Ranked, flows: Flows) -> str:
    """A method's figures in a line, for whoever waits for the table."""
    row = figures(ranked, flows)
    speed = "" if ranked.per_second is None else f", {ranked.per_second:,.0f} payments/s"
    return f"{ranked.name}: AP {row['average_precision']:.3f}, P@1 % {row['precision_at_0.01']:.3f}{speed}"


def show(found: dict[str, dict[str, Any]], console: Console) -> None:
    """The figures, with speeds as shares of the product's on the same payments."""
    own = found["product, same payments"]["payments_per_second"]
    table = Table("method", "AP", "P@1 %", "R@1 %", "payments/s", "product is faster by")
    for name, row in found.items():
        speed = row["payments_per_second"]
        numbers = [f"{row[key]:.3f}" for key in ("average_precision", "precision_at_0.01", "recall_at_0.01")]
        faster = "" if speed is None or name.startswith("product") else f"{own / speed:.1f}"
        table.add_row(name, *numbers, "" if speed is None else f"{speed:,.0f}", faster)
    console.print(table)


def main(arguments: list[str]) -> None:
    """Compare on one folder and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--first", type=int, help="only so many payments, from the beginning")
    parser.add_argument("--labels", default=",".join(PLANS), help="plans of outcomes for the product, comma-separated")
    parser.add_argument("--skip", default="", help="peers to leave out, comma-separated")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    console = Console(width=110)
    say = Console(stderr=True).print
    with tempfile.TemporaryDirectory(prefix="fundtrail-") as name:
        directory = options.directory
        if options.first is not None:
            directory = first_of(directory, options.first, Path(name) / directory.name)
        found = compare(directory, options.labels.split(","), set(options.skip.split(",")), say)
    show(found, console)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
