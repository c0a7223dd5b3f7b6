"""Small items with scenarios at a price, and what HiGHS says about them."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

DRAWS, NODES, CLASSES = 4, 4, 6
CASES = (
    "plain", "some given", "all given", "at least", "closed nodes", "all closed",
    "some unserved", "none served", "a quiet scenario", "no demand", "negative costs",
    "negative charge", "all charges negative", "no charge", "dear stock", "all is lost",
    "nothing to lose", "far above demand", "one node", "one node and class", "ties",
    "thousandths", "thousands", "small money", "large money",
)  # fmt: skip


class Item(NamedTuple):
    """One item: scenarios, costs, and the box of its targets."""

    demand: np.ndarray
    prob: np.ndarray
    cost: np.ndarray
    penalty: float
    charge: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def start(self):
        """The middle of the box."""
        return (self.lower + self.upper) / 2

    @property
    def size(self):
        """Money at stake: the demand of a scenario lost, or the least targets."""
        lost = self.penalty * (self.prob @ self.demand).sum()
        return lost + np.abs(self.charge) @ self.lower


def draw(seed, case="plain") -> Item:
    """A random item of a case; each has something that the plain one has not."""
    rng = np.random.default_rng(seed)
    cost = rng.uniform(1, 8, (DRAWS, NODES, CLASSES))
    cost[rng.random(cost.shape) < 0.25] = np.inf
    demand = rng.integers(0, 6, (DRAWS, CLASSES)) * 1.0
    prob, penalty = rng.dirichlet(np.ones(DRAWS)), float(rng.uniform(4, 12))
    charge = rng.uniform(0.1, 3, NODES)
    lower, upper = np.zeros(NODES), np.full(NODES, 30.0)
    few = rng.integers(0, 6, NODES) * 1.0
    money, units = {"small money": 1e-4, "large money": 1e4}, {
        "thousandths": 1e-3, "thousands": 1e3,
    }  # fmt: skip
    match case:
        case "some given":
            lower, upper = few, few + rng.integers(0, 4, NODES)
        case "all given":
            lower, upper = few, few
        case "at least":
            lower = few + 1
        case "closed nodes":
            upper[:2] = 0
        case "all closed":
            upper[:] = 0
        case "some unserved":
            cost[:, :, :3] = np.inf
        case "none served":
            cost[:] = np.inf
        case "a quiet scenario":
            demand[0] = 0
        case "no demand":
            demand[:] = 0
        case "negative costs":
            cost -= 5
        case "negative charge":
            charge[0] = -1
        case "all charges negative":
            charge = -charge
        case "no charge":
            charge[:] = 0
        case "dear stock":
            charge[:] = 100
        case "all is lost":
            penalty = 0.5
        case "nothing to lose":
            penalty = 0.0
        case "far above demand":
            lower, upper = np.full(NODES, 400.0), np.full(NODES, 500.0)
        case "one node":
            cost, charge, lower, upper = cost[:, :1], charge[:1], lower[:1], upper[:1]
        case "one node and class":
            cost, charge, lower, upper = cost[:, :1], charge[:1], lower[:1], upper[:1]
            cost, demand = cost[:, :, :1], demand[:, :1]
        case "ties":
            cost, penalty, charge = np.round(cost), round(penalty), np.ceil(charge)
        case _:
            assert case in {"plain", *money, *units}
    c, u = money.get(case, 1.0), units.get(case, 1.0)
    return Item(
        u * demand, prob, c * cost, c * penalty, c * charge, u * lower, u * upper
    )


def two_stage(item: Item) -> float:
    """The least of charge.y + E Q(y, D) over the box, scenarios in one programme."""
    draws, nodes, classes = item.cost.shape
    block = (nodes + 1) * classes  # shipments, then demand not served
    columns = nodes + draws * block
    money, most = [item.charge], [*zip(item.lower, item.upper, strict=True)]
    stock, served = (
        np.zeros((draws, nodes, columns)),
        np.zeros((draws, classes, columns)),
    )
    for w, at in enumerate(range(nodes, columns, block)):
        usable = np.isfinite(item.cost[w]).ravel()
        pay = np.where(usable, item.cost[w].ravel(), 0)
        money += [item.prob[w] * np.append(pay, [item.penalty] * classes)]
        most += [(0, None if u else 0) for u in usable] + [(0, None)] * classes
        stock[w, :, :nodes] = -np.eye(nodes)
        sent = at + nodes * classes
        stock[w, :, at:sent] = np.kron(np.eye(nodes), np.ones(classes))
        served[w, :, at : at + block] = np.tile(np.eye(classes), nodes + 1)
    done = linprog(
        np.concatenate(money), A_ub=stock.reshape(-1, columns),
        b_ub=np.zeros(draws * nodes), A_eq=served.reshape(-1, columns),
        b_eq=item.demand.ravel(), bounds=most,
    )  # fmt: skip
    assert done.status == 0, done.message
    return done.fun
