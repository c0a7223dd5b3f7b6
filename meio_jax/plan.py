"""The plan: what was decided, what it costs, what is proven, and its folder on disk."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meio_jax import checkpoint as checkpoints
from meio_jax.faults import Fault, Faults, InputError
from meio_jax.whatif import WhatIf, ask

if TYPE_CHECKING:
    import pandas  # noqa: TID251

    from meio_jax.explain import Explanation

TABLES = (
    "targets", "buys", "transfers", "echelons", "rations", "prices", "depots",
    "service", "kpis",
)  # fmt: skip
SAVED = (*TABLES, "exceptions")  # which follow from the others


@dataclass(frozen=True, eq=False)
class Plan:
    """Targets, prices and certificates of one run; a value, never changed.

    Attributes:
      status: why the solver stopped and what the rest is worth. "optimal_within_gap":
        whole targets within every capacity, gap as asked. "gap_above_target": the same,
        gap above what was asked. "stopped": the same, stopped by the user or the time
        limit; bound and plan hold, and are further apart. "over_capacity": targets that
        exceed a capacity somewhere, see `prices.utilization`; the bound holds.
      cost: expected cost over the horizon under greedy fulfilment on the scenarios.
      bound: no plan of the model costs less on these scenarios; -inf if none is proven.
        Where only a sample of the items was solved exactly, with 97.5 % confidence:
        `facts["certificate"]` says how many were, the estimate, its interval, and how
        much of the distance lies in targets and prices ("model") and how much in
        greedy fulfilment ("fulfilment"); also how far the plan is from the best within
        the kernel that it was made with ("kernel"), which says how well it was solved.
      targets: order-up-to level by item, node and period, and what it consists of.
      buys: orders to vendors in every period, whole units: those of the first period
        are to be placed, later ones follow if demand is as expected.
      transfers: what depots send to nodes, the same.
      echelons: vendor and echelon order-up-to level by item, depot and period.
      rations: targets along the price of rationing: how a depot divides what is scarce.
      prices: price, use and value of every limited capacity.
      depots: the same of depots and the budget, and stock expected there.
      service: demand and units on promise by region, speed and size class.
      kpis: totals.
      facts: versions, options, seeds, seconds: what `run.json` holds.
      metrics: one entry per line of the solver's log.
    """

    status: str
    cost: float
    bound: float
    targets: pandas.DataFrame
    buys: pandas.DataFrame
    transfers: pandas.DataFrame
    echelons: pandas.DataFrame
    rations: pandas.DataFrame
    prices: pandas.DataFrame
    depots: pandas.DataFrame
    service: pandas.DataFrame
    kpis: pandas.DataFrame
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: tuple[dict[str, Any], ...] = ()

    @property
    def gap(self) -> float:
        """(cost - bound) / |cost|; inf where no bound is proven."""
        if not math.isfinite(self.bound):
            return math.inf
        return (self.cost - self.bound) / max(abs(self.cost), 1e-12)

    @property
    def exceptions(self) -> pandas.DataFrame:
        """What is over, short or lies too long, the dearest first: kind, item, node,
        region, period, quantity, money a period, and a sentence."""
        from meio_jax.report import Run
        from meio_jax.report.excel import exceptions_table

        return exceptions_table(Run(self.facts.get("name") or "plan", self))

    @property
    def checkpoint(self) -> checkpoints.Checkpoint:
        """The prices with their names, for another search to start from."""
        import numpy as np

        table = self.prices
        by_regime = [c for c in table if str(c).startswith("price_regime_")]
        resources = checkpoints.resource_names(max(len(by_regime), 1))
        nodes, periods = (tuple(dict.fromkeys(table[c])) for c in ("node", "period"))
        node = np.array([nodes.index(n) for n in table["node"]], int)
        period = np.array([periods.index(t) for t in table["period"]], int)
        prices, bound_prices = np.zeros((2, len(resources), len(nodes), len(periods)))
        for k, resource in enumerate(resources):
            word, _, regime = resource.partition(" ")
            rows = (table["resource"] == word).to_numpy(bool)
            at = k, node[rows], period[rows]
            column = f"price_regime_{regime}" if regime else "price"
            prices[at] = table[column][rows]
            bound_prices[at] = table[f"bound_{column}"][rows]
        of = lambda key, default: self.facts.get(key, default)
        return checkpoints.Checkpoint(
            of("name", ""), of("input_digest", ""), resources,
            tuple(map(str, nodes)), tuple(map(str, periods)), prices, bound_prices,
            of("stage", 0), of("evaluations_before", 0) + of("evaluations", 0),
            tuple(of("lifts", ())),
        )  # fmt: skip

    def __repr__(self) -> str:
        return (
            f"Plan(status={self.status!r}, cost={self.cost:,.0f}, "
            f"bound={self.bound:,.0f}, gap={self.gap:.2%})"
        )

    def save(self, folder: str | Path, *, csv: bool = False, log: str = "") -> Path:
        """Writes the run folder, whole or not at all.

        Args:
          folder: a folder that does not exist yet, or is empty.
          csv: write each table as CSV too.
          log: text of `log.txt`.

        Raises:
          InputError: the folder has files in it, or cannot be written.
        """
        from meio_jax.tables.write import write_table

        folder = Path(folder).resolve()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise _refuse(folder, "is there already", "Choose a folder that is new")
        held = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            held = Path(tempfile.mkdtemp(prefix=".meio-", dir=folder.parent))
            held.chmod(0o755)
            for name in SAVED:
                write_table(getattr(self, name), held / name, csv=csv)
            facts = {
                "status": self.status,
                "cost": self.cost,
                "bound": self.bound if math.isfinite(self.bound) else None,
                "gap": self.gap if math.isfinite(self.gap) else None,
                **self.facts,
            }
            (held / "run.json").write_text(json.dumps(facts, indent=2) + "\n")
            if log:
                (held / "log.txt").write_text(log)
            checkpoints.write(self.checkpoint, held / checkpoints.FILE)
            lines = "".join(json.dumps(m) + "\n" for m in self.metrics)
            (held / "metrics.jsonl").write_text(lines)
            move_in(held, folder)
        except OSError as error:
            if held is not None:
                shutil.rmtree(held, ignore_errors=True)
            why = error.strerror or str(error)
            raise _refuse(
                folder, f"cannot be written: {why}", "Nothing was left there"
            ) from error
        except BaseException:
            if held is not None:
                shutil.rmtree(held, ignore_errors=True)
            raise
        return folder

    def what_if(self, capacity: Mapping[tuple, float | str]) -> WhatIf:
        """What other capacities would save at most and cost at least, at once.

        Args:
          capacity: a change by (node, resource), or (node, resource, period) for one
            period; node "*" is every node with such a limit. A number is a factor, so
            1.1 is a tenth more; a text is one of "+10%", "-10%", "+50", "-50", "*1.2",
            "=1200".

        Raises:
          InputError: with everything that is wrong with the changes.
        """
        known = lambda column: self.targets[column].unique()
        return ask(self.prices, capacity, cost=self.cost, bound=self.bound, known=known)

    def sensitivities(self, *, tables: Any = None) -> pandas.DataFrame:
        """What 10 % or an hour more of every kind of input adds to the cost, ranked.

        To first order, at the plan's prices: `input`, `change`, `money` (a period;
        below 0 where it saves) and `share` of the plan's cost. Takes one pass over the
        items for each kind.

        Args:
          tables: those that the plan was made from, or their folder; where they were
            then unless given.

        Raises:
          InputError: the tables have faults, or the plan was made from others.
        """
        from meio_jax.onepass import sensitivities

        return sensitivities(self, tables=tables)

    def explain(
        self, item: str, node: str, period: str | None = None, *,
        since: Plan | None = None, tables: Any = None,
    ) -> Explanation:  # fmt: skip
        """Why the targets of an item at a node are what they are, step by step.

        The problem is built again from the tables; the next question needs seconds
        less.

        Args:
          item: name.
          node: name.
          period: its name; all periods if not given.
          since: an earlier plan, to say what changed and which price moved.
          tables: those that the plan was made from, or their folder; where they were
            then unless given.

        Raises:
          InputError: there is no such item, node or period, or the tables are not
            those that the plan was made from.
        """
        from meio_jax.explain import explain

        return explain(self, item, node, period, since=since, tables=tables)

    def report(
        self, path: str | Path, *, outcome: Any = None, fans: int = 0,
        tables: Any = None,
    ) -> Path:  # fmt: skip
        """Writes the plan as a page of HTML that needs nothing else.

        Args:
          path: of the file; one that is there is replaced.
          outcome: a simulation with this plan as its first policy, to show beside it.
          fans: of so many items, those that ship most, the stock on fresh paths is
            drawn; seconds each.
          tables: for these: as for `explain`.

        Raises:
          InputError: it cannot be written, matplotlib or jinja2 is not installed, or
            the tables are not those that the plan was made from.
        """
        from meio_jax.report import Run, write

        name, drawn = self.facts.get("name") or "plan", ()
        if fans:
            from meio_jax.explain import simulate_fans

            drawn = simulate_fans(self, fans, tables=tables)
        return write([Run(name, self, outcome, drawn)], path)


def load(folder: str | Path) -> Plan:
    """Reads a run folder that `Plan.save` or `meio solve` wrote.

    Raises:
      InputError: the folder is not a run, or a file of it is missing or damaged.
    """
    from meio_jax.tables.write import read_table

    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise _refuse(
            folder, "is not a run: it has no run.json", "Give a folder under runs/"
        )
    try:
        facts = json.loads((folder / "run.json").read_text())
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        metrics = tuple(json.loads(line) for line in lines)
        tables = {name: read_table(folder / name) for name in TABLES}
        status, cost, bound = (facts.pop(k) for k in ("status", "cost", "bound"))
        facts.pop("gap", None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refuse(
            folder, f"a file of the run is missing or damaged: {error}", "Solve again"
        ) from error
    return Plan(
        status, cost, -math.inf if bound is None else bound,
        facts=facts, metrics=metrics, **tables,
    )  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of what computes."""
    from importlib.metadata import version

    names = "meio-jax", "jax", "jaxlib", "equinox", "optax", "numpy", "pandas"
    return {name: version(name) for name in names}


def move_in(held: Path, folder: Path) -> None:
    """Makes a finished folder visible under its name, new or empty, in one move."""
    if not folder.exists():
        os.replace(held, folder)
        return
    for path in held.iterdir():
        os.replace(path, folder / path.name)
    held.rmdir()


def _refuse(folder: Path, text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "R01", str(folder), text, hint)]))
