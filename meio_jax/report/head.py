"""The first screen: what was planned, what it is worth, what is proven."""

from __future__ import annotations

import math
from typing import NamedTuple

from meio_jax.report.metrics import COST, against, difference
from meio_jax.report.run import FULL, Run
from meio_jax.report.words import amount, change, count, percent, short

STATUS = {
    "optimal_within_gap": (
        "good", "Solved",
        "Every capacity is respected, and the gap is within what was asked.",
    ),
    "gap_above_target": (
        "fair", "Solved, gap above what was asked",
        "Every capacity is respected; how much better a plan could be is known less "
        "closely than was asked.",
    ),
    "stopped": (
        "fair", "Stopped early",
        "Every capacity is respected; plan and bound hold and are further apart than "
        "after a whole search.",
    ),
    "over_capacity": (
        "bad", "Does not fit",
        "Targets exceed a capacity somewhere; the bound holds.",
    ),
}  # fmt: skip


class Card(NamedTuple):
    """A key number.

    Attributes:
      label: what it is.
      value: the number.
      note: beside what.
    """

    label: str
    value: str
    note: str


def line(run: Run) -> str:
    """What was planned and when, in a line.

    Args:
      run: the run.
    """
    known = run.plan.facts
    made = str(known.get("made", "")).replace("T", " ").replace("+00:00", " UTC")
    sizes = known.get("sizes", {})
    many = [
        count(sizes[f"{word}s"], word)
        for word in ("item", "node")
        if f"{word}s" in sizes
    ]
    words = [str(known.get("name", "")), made, *many,
             count(len(run.periods), run.period)]  # fmt: skip
    return " · ".join(word for word in words if word)


def status(run: Run) -> tuple[str, str, str]:
    """Grade, name and meaning of the run's status.

    Args:
      run: the run.
    """
    word = str(run.plan.status)
    return STATUS.get(word, ("fair", word, ""))


def summary(run: Run) -> list[str]:
    """What one should know of a run, a sentence each.

    Args:
      run: the run.
    """
    says = [status(run)[2], gap_meaning(run)]
    if run.outcome is not None:
        says.append(against(run))
    return [sentence for sentence in says if sentence]


def gap_meaning(run: Run) -> str:
    """What the gap says, and how sure.

    Args:
      run: the run.
    """
    plan = run.plan
    if not math.isfinite(plan.gap):
        return "No bound was proven: how much better a plan could be is not known."
    return (
        f"No plan of the model saves more than {percent(plan.gap, 2)} of this plan's "
        f"cost on the same scenarios ({_sure(run)})."
    )


def _sure(run: Run) -> str:
    proof = run.plan.facts.get("certificate", {})
    if not proof or proof["items"] == proof["of"]:
        return "proven"
    return f"from {proof['items']:,} of {count(proof['of'], 'item')}, 97.5 % sure"


def certificates(run: Run) -> list[tuple[str, str]]:
    """Each number that the page relies on, and what it promises.

    Args:
      run: the run.
    """
    plan, facts = run.plan, run.plan.facts
    many = len(run.periods)
    found = [
        (
            "Plan cost",
            f"{amount(plan.cost)} {run.currency} over "
            f"{count(many, run.period)}: expected on {facts.get('scenarios', 'its')} "
            "scenarios, shipped greedily, in whole units, within capacities in "
            "expectation.",
        )
    ]
    if math.isfinite(plan.bound):
        text = (
            f"{amount(plan.bound)} {run.currency}: on these scenarios no plan of the "
            f"model costs less ({_sure(run)}). It says nothing of other scenarios."
        )
        found.append(("Bound (certificate A, the model)", text))
    proof = facts.get("certificate", {})
    if proof and plan.cost > 0 and math.isfinite(plan.bound):
        text = (
            f"{percent(proof['model'] / plan.cost, 2)} of the cost lies in targets and "
            f"prices, {percent(proof['fulfilment'] / plan.cost, 2)} in greedy "
            "fulfilment"
        )
        rest = plan.gap - (proof["model"] + proof["fulfilment"]) / plan.cost
        text += (
            f", {percent(rest, 2)} in the sampling of items." if rest > 5e-5 else "."
        )
        found.append(("Gap, taken apart", text))
    return found + _simulated_proofs(run)


def _simulated_proofs(run: Run) -> list[tuple[str, str]]:
    """What the simulation promises, and the two certificates that come with it."""
    if run.outcome is None:
        return []
    known, per = run.outcome.facts, f"{run.currency} a {run.period}"
    text = (
        f"{count(known['paths'], 'path')} that no plan was made on: receipts after "
        "random lead times, docks that bind on every path, lost sales. It is the "
        "number to compare policies by."
    )
    found = [("Simulated cost", text)]
    law = known.get("certificate")
    if law:
        text = (
            f"{amount(law['bound'] - law['bound_error'])} {per}: under the law that "
            "scenarios are drawn from, no plan that keeps the capacities in "
            "expectation costs less (97.5 % sure). This plan is expected at "
            f"{amount(law['cost'])} ± {amount(law['cost_error'], like=law['cost'])}."
        )
        found.append(("Bound under the law of scenarios (certificate B)", text))
    if "hindsight" in known:
        text = (
            f"{amount(known['hindsight'])} {per}: nobody could pay less on these "
            "paths, not even with every order known, without capacities or lead times. "
            "Part of the distance no policy can close."
        )
        found.append(("Least on these paths (certificate C, hindsight)", text))
    return found


def cards(run: Run) -> list[Card]:
    """Key numbers of a run.

    Args:
      run: the run.
    """
    value, plan = run.kpis, run.plan
    floor = value.get("bound per period", math.nan)
    found = [
        Card(
            f"plan cost a {run.period}, {run.currency}", amount(value[COST]),
            f"no plan below {amount(floor)}" if math.isfinite(floor) else "no bound",
        ),
        Card(
            "gap", percent(plan.gap, 2),
            f"asked {percent(_asked(run), 2)}" if math.isfinite(_asked(run)) else "",
        ),
    ]  # fmt: skip
    if run.outcome is not None:
        found.append(_simulated(run))
    found += [
        Card("served", percent(value["fill rate"]), "of the units asked for"),
        Card("on promise", percent(value["on promise rate"]),
             f"{percent(value['local share'])} from the home node"),
    ]  # fmt: skip
    full = run.prices
    if len(full):
        top = full.loc[full["utilization"].idxmax()]
        many = int((full["utilization"] >= FULL).sum())
        share = top["utilization"]
        text = percent(share) if math.isfinite(share) else "over"
        note = f"{short(top['node'], 20)} {top['resource']}; {many:,} full"
        found.append(Card("fullest capacity", text, note))
    return found


def _simulated(run: Run) -> Card:
    table = run.simulated
    value = amount(table.loc[(run.policies[0], COST), "value"])
    note = "no baseline"
    if len(run.policies) > 1:
        gap = difference(run, run.policies[1], COST)
        note = f"{change(amount(gap.value))} against {short(run.policies[1], 20)}"
    return Card(f"simulated, {run.currency} a {run.period}", value, note)


def _asked(run: Run) -> float:
    options = run.plan.facts.get("options", {})
    return options.get("solver", {}).get("gap", math.nan)


def facts(run: Run) -> list[tuple[str, str]]:
    """How the run was made.

    Args:
      run: the run.
    """
    known = run.plan.facts
    sizes = known.get("sizes", {})
    options = known.get("options", {})
    rows = [
        ("made", str(known.get("made", ""))),
        ("status", str(run.plan.status)),
        ("sizes", ", ".join(f"{many:,} {what}" for what, many in sizes.items())),
        ("scenarios", f"{known.get('scenarios', '')}"),
        ("seed", f"{options.get('scenarios', {}).get('seed', '')}"),
        ("evaluations of the dual", f"{known.get('evaluations', '')}"),
        ("seconds", _seconds(known)),
        ("device", str(known.get("device", ""))),
        (
            "versions",
            ", ".join(f"{k} {v}" for k, v in known.get("versions", {}).items()),
        ),
        ("digest of the tables", str(known.get("input_digest", ""))),
    ]
    return [(what, text) for what, text in rows if text]


def _seconds(known) -> str:
    if "seconds" not in known:
        return ""
    text = f"{known['seconds']:.1f} to solve"
    if "command_seconds" in known:
        text += f", {known['command_seconds']:.1f} in all"
    return text
