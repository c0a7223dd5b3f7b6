"""Networks from ship options: demand classes, home nodes and the tree of pools."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from meio_jax.problem import Network, Tree


def spill_distance(
    cost: Float[np.ndarray, "nodes classes"], share: Float[np.ndarray, " classes"]
) -> Float[np.ndarray, "nodes nodes"]:
    """What it costs, per unit, to serve from a second node what a first serves well.

    A node serves well the classes that cost it little more than their cheapest node;
    the smaller of the two directions counts, so that a small site which serves a few
    regions is near to the big one that serves them too.

    Args:
      cost: money per unit; inf where a node cannot serve a class.
      share: volume of each class.
    """
    if len(cost) == 1:
        return np.zeros((1, 1))
    best = np.where(np.isfinite(cost).any(axis=0), cost.min(axis=0), 0)
    extra = cost - best
    second = np.partition(extra, 1, axis=0)[1]
    second = second[np.isfinite(second) & (second > 0)]
    typical = float(np.median(second)) if second.size else 1.0
    scale = 0.25 * typical
    extra = np.minimum(extra, 4 * typical)  # who serves nothing else is near to nobody
    nearest = extra - extra.min(axis=1, keepdims=True)
    weight = np.exp(-np.minimum(nearest / scale, 700)) * share
    weight = weight / weight.sum(axis=1, keepdims=True)
    spill = weight @ extra.T  # [from, to]
    distance = np.minimum(spill, spill.T)
    np.fill_diagonal(distance, 0)
    return distance


def pools(distance: Float[np.ndarray, "nodes nodes"], levels: int = 4) -> Tree:
    """The tree of pools by average linkage, cut at no more than `levels` levels.

    Any laminar family gives a valid bound; a good one joins first the nodes between
    which demand spills most cheaply. Equal merge heights (an ultrametric) come back as
    the tree that made them.

    Args:
      distance: cost of spilling between two nodes, symmetric.
      levels: levels of the tree, the nodes themselves and the root included.
    """
    nodes = len(distance)
    if nodes == 1:
        one = np.zeros((1, 1), int)
        return Tree(pool_of=one, member=np.ones((1, 1)), walk=np.zeros(1, int))
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    merges = linkage(squareform(distance, checks=False), "average")
    heights = merges[:, 2]
    steps = np.flatnonzero(np.diff(heights) > 1e-9 * heights[-1])  # last of each height
    if len(steps) > levels - 2:  # cuts near nodes^(2/3), nodes^(1/3), ... pools
        wanted = nodes ** (1 - np.arange(1, levels - 1) / (levels - 1))
        left = nodes - 1 - steps
        picks = [int(np.abs(np.log(left / w)).argmin()) for w in wanted]
        steps = steps[sorted(set(picks))]
    labels = [np.arange(nodes)]
    labels += [fcluster(merges, heights[s], "distance") - 1 for s in steps]
    labels += [np.zeros(nodes, int)]
    pool_of, offset = [], 0
    for label in labels:
        _, dense = np.unique(label, return_inverse=True)
        pool_of.append(dense + offset)
        offset += dense.max() + 1
    stacked = np.stack(pool_of)
    member = np.zeros((offset, nodes))
    for row in stacked:
        member[row, np.arange(nodes)] = 1
    return Tree(pool_of=stacked, member=member, walk=leaves_list(merges).astype(int))


def rings(
    tree: Tree, home: Int[np.ndarray, " classes"]
) -> Int[np.ndarray, "nodes classes"]:
    """The first level at which a node and the home of a class share a pool."""
    apart = tree.pool_of[:, :, None] != tree.pool_of[:, home][:, None, :]
    return apart.sum(axis=0)


def build_network(
    *,
    node: Int[np.ndarray, " nodes"],
    unit_cost: Float[np.ndarray, "nodes parts"],
    cost_per_weight: Float[np.ndarray, "nodes parts"],
    days_late: Float[np.ndarray, "nodes parts"],
    region: Int[np.ndarray, " parts"],
    speed: Int[np.ndarray, " parts"],
    share: Float[np.ndarray, " parts"],
    volume: Float[np.ndarray, " parts"],
    weight: float,
    late_cost: float,
    lead_mean: Float[np.ndarray, " nodes"],
    lead_std: Float[np.ndarray, " nodes"],
    lead_seen: tuple[Float[np.ndarray, " seen"], ...] = (),
    spread: float = 1.0,
) -> Network:
    """The network of one size class; parts that every node serves alike are merged.

    Args:
      node: position of each node in the problem's capacities.
      unit_cost: money per unit; inf where a node cannot serve a part.
      cost_per_weight: money per weight unit.
      days_late: days after the promise.
      region: region of a part.
      speed: speed of a part.
      share: share of the region's demand that is this part.
      volume: typical units of a part, to weigh distances between nodes.
      weight: weight of a typical item, to find homes and distances.
      late_cost: late cost of a typical item, money per unit and day.
      lead_mean: mean replenishment lead time of a node, periods.
      lead_std: its standard deviation.
      lead_seen: lead times as they were observed, of each node.
      spread: periods over which the costs were divided.
    """
    cost = unit_cost + weight * cost_per_weight + late_cost * days_late
    home = cost.argmin(axis=0)
    columns = np.vstack([unit_cost, cost_per_weight, days_late])
    offered = np.isfinite(unit_cost)
    columns = np.where(np.vstack([offered] * 3), columns, -1.0)
    _, first, merged = np.unique(
        columns.round(9), axis=1, return_index=True, return_inverse=True
    )
    merged = merged.reshape(-1)
    tree = pools(spill_distance(cost, np.maximum(volume, 1e-12)))
    return Network(
        node=node,
        unit_cost=unit_cost[:, first],
        cost_per_weight=np.where(offered, cost_per_weight, 0)[:, first],
        days_late=np.where(offered, days_late, 0)[:, first],
        home=home[first],
        ring=rings(tree, home[first]),
        tree=tree,
        lead_mean=lead_mean,
        lead_std=lead_std,
        lead_seen=lead_seen,
        part_class=merged,
        part_region=region,
        part_speed=speed,
        part_share=share,
        spread=spread,
    )


def cutoff_parts(
    cutoff: Float[np.ndarray, " nodes"],
    before: Callable[[float], float],
) -> list[tuple[float, Bool[np.ndarray, " nodes"]]]:
    """Splits the orders of a region and speed by the hour at which they come.

    Nodes with later cut-offs keep the promise for more of the day, so the sets of nodes
    that can are nested: an order of hour `u` can be served in time by the nodes with
    cut-off >= u.

    Args:
      cutoff: cut-off hour of each node, 0 to 24; -inf where it makes no such promise.
      before: share of a day's orders that come before an hour.

    Returns:
      Pairs of share and nodes that are in time, the shares summing to 1; the last pair
      may have no node: orders after every cut-off.
    """
    parts, done = [], 0.0
    for hour in np.unique(cutoff[cutoff > 0]):
        share = (1.0 if hour >= 24 else before(hour)) - done
        if share > 0:
            parts.append((share, cutoff >= hour))
            done += share
    if done < 1 - 1e-12:
        parts.append((1 - done, np.zeros(len(cutoff), bool)))
    return parts


def coarsen(
    network: Network,
    volume: Float[np.ndarray, " classes"],
    *,
    limit: int,
    weight: float,
    late_cost: float,
    penalty: float,
) -> Network:
    """The network with no more than `limit` classes, those of a home that cost nearly
    the same at every node taken together (Ward 1963) at their mean cost.

    For plans and prices; bounds are taken from the network itself.

    Args:
      network: the network.
      volume: units of each class, to weigh means.
      limit: most classes.
      weight: weight of a typical item.
      late_cost: late cost of a typical item, money per unit and day.
      penalty: penalty of a typical item: dearer service is the same as none.
    """
    classes = len(network.home)
    if classes <= limit:
        return network
    from scipy.cluster.hierarchy import fcluster, linkage

    cost = network.unit_cost + weight * network.cost_per_weight
    cost = np.minimum(cost + late_cost * network.days_late, penalty)
    far = 10 * penalty * np.sqrt(classes) * (1 + np.arange(len(network.node)))
    feature = np.vstack([cost, far[network.home]]).T
    label = fcluster(linkage(feature, "ward"), limit, "maxclust") - 1
    count = label.max() + 1
    share = np.zeros((classes, count))
    share[np.arange(classes), label] = np.maximum(volume, 1e-9)
    offered = np.isfinite(network.unit_cost)
    served = offered @ share
    usual = served > 0.5 * share.sum(axis=0)

    def mean(x):
        total = np.where(offered, x, 0) @ share
        return total / np.where(served > 0, served, 1)

    home = np.zeros(count, int)
    home[label] = network.home
    return Network(
        node=network.node,
        unit_cost=np.where(usual, mean(network.unit_cost), np.inf),
        cost_per_weight=mean(network.cost_per_weight),
        days_late=mean(network.days_late),
        home=home,
        ring=rings(network.tree, home),
        tree=network.tree,
        lead_mean=network.lead_mean,
        lead_std=network.lead_std,
        lead_seen=network.lead_seen,
        part_class=label[network.part_class],
        part_region=network.part_region,
        part_speed=network.part_speed,
        part_share=network.part_share,
        spread=network.spread,
    )
