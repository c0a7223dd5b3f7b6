"""Options: TOML read strictly into frozen dataclasses, and written back."""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from meio_jax.faults import Fault, InputError

Test = Callable[[Any], str]  # "" where the value will do, else what it must be


def _integer(value: Any, *, low: int, high: int) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and low <= value <= high:
        return ""
    limit = f" and at most {high:,}" if whole and value > high else ""
    return f"must be a whole number, {low} or more{limit}"


def _real(value: Any, *, above: float = -math.inf, low: float, high: float) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and above < value and low <= value <= min(high, 1e300):
        return ""
    start = f"more than {above:g}" if above >= low else f"{low:g} or more"
    return f"must be a number, {start}" + (
        f" and at most {high:g}" if math.isfinite(high) else ""
    )


def _share(value: Any) -> str:
    inside = not _real(value, low=0.0, high=1.0) and 0 < value < 1
    return "" if inside else "must be a number between 0 and 1, both excluded"


def _text(value: Any, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        return "must be text, in quotes"
    return "" if value or empty else "must not be empty"


def _choice(value: Any, *, words: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in words:
        return ""
    near = difflib.get_close_matches(str(value), words, n=1)
    known = ", ".join(f"'{word}'" for word in words)
    return f"must be one of {known}" + (f"; did you mean '{near[0]}'?" if near else "")


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _falling(value: Any) -> str:
    good = isinstance(value, list | tuple) and len(value) > 0
    good = good and not any(_real(v, above=0.0, low=0.0, high=math.inf) for v in value)
    good = good and all(a > b for a, b in pairwise(value))
    return "" if good else "must be a list of positive numbers, each below the last"


def _words(value: Any) -> str:
    good = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
    return "" if good else 'must be a list of names, as in ["base_stock"]'


def _option(default: Any, test: Test) -> Any:
    return field(default=default, metadata={"test": test})


def _count(default: int, low: int, high: int = 2**31 - 1) -> Any:
    return _option(default, partial(_integer, low=low, high=high))


def _amount(default: float, low: float = 0.0, high: float = math.inf) -> Any:
    return _option(default, partial(_real, low=low, high=high))


def _word(default: str, *words: str) -> Any:
    return _option(default, partial(_choice, words=words))


@dataclass(frozen=True)
class _Section:
    def __post_init__(self) -> None:
        place = f"config.{type(self).__name__}"
        faults = [
            _bad_value(place, option.name, getattr(self, option.name), wrong)
            for option in fields(self)
            if (wrong := option.metadata["test"](getattr(self, option.name)))
        ]
        if faults:
            raise InputError(faults)


@dataclass(frozen=True)
class Problem(_Section):
    """What is planned.

    Attributes:
      tables: folder of the tables, relative to the TOML file.
      name: shown in reports.
      horizon: periods planned.
      budget: money that the orders of a period may cost; 0 means no limit.
      orders_cross: whether every order to a vendor has a lead time of its own, so that
        a later one may arrive first; else one late order delays all after it, and much
        more stock is needed.
    """

    tables: str = _option(".", _text)
    name: str = _option("", partial(_text, empty=True))
    horizon: int = _count(13, low=1, high=10_000)
    budget: float = _amount(0.0)
    orders_cross: bool = _option(True, _flag)


@dataclass(frozen=True)
class Units(_Section):
    """What one unit of each column is.

    Attributes:
      volume: of unit_volume and of storage capacity, such as "m3" or "ft3".
      weight: of unit_weight, such as "kg" or "lb".
      currency: of every cost, for reports only.
      period: length of a period.
      lead_time: of lead times and review periods whose header names no unit.
    """

    volume: str = _option("m3", _text)
    weight: str = _option("kg", _text)
    currency: str = _option("USD", _text)
    period: str = _word("week", "day", "week", "month")
    lead_time: str = _word("period", "period", "day", "week")


@dataclass(frozen=True)
class Scenarios(_Section):
    """How demand scenarios are drawn.

    Attributes:
      count: scenarios drawn.
      seed: of the draw; the same seed gives the same scenarios.
      block: periods in a bootstrap block.
      recent: the last so many periods of history are used; 0 means all.
      common: of a forecast, coefficient of variation of the factor that all items of a
        period share; 0 means independent items.
      regimes: bins of equal size, by the demand of all items, within each of which
        outbound capacities hold; it divides the number of scenarios. 1 means that they
        hold in expectation over all scenarios.
    """

    count: int = _count(64, low=1)
    seed: int = _count(0, low=0)
    block: int = _count(4, low=1)
    recent: int = _count(0, low=0)
    common: float = _amount(0.0)
    regimes: int = _count(1, low=1, high=64)


@dataclass(frozen=True)
class Economics(_Section):
    """Costs where the tables leave them out.

    Attributes:
      holding_rate: per year, share of unit_cost.
      late_rate: cost of one unit late for one day, share of unit_price.
      overage_rate: cost of volume above storage for a period, in multiples of what it
        costs to hold the same volume of the median item. Simulations charge it; plans
        do not go above storage.
    """

    holding_rate: float = _amount(0.25)
    late_rate: float = _amount(0.02)
    overage_rate: float = _amount(10.0)


@dataclass(frozen=True)
class Solver(_Section):
    """How the dual is solved, and when it stops.

    Attributes:
      method: of ascent in the prices.
      gap: stop at this share between plan cost and bound.
      violation: of a capacity that counts as none, share of the capacity.
      max_evaluations: passes over all items at most.
      smoothing: falling widths of the smoothed kinks, shares of the demand's spread.
      levels: demand classes kept apart per pool.
      atoms: points kept per demand distribution.
      whole_units: whether the plan is in whole units.
      time_limit: seconds; 0 means none.
      calibrate: whether plans pay for a shortage what greedy fulfilment shows it costs.
      corrections: rounds in which the model's slopes are brought to those of greedy
        fulfilment, and room is kept free in storage for what single paths hold above
        the mean; 0 for none. They begin from calibrated slopes. Small problems, and
        items that are solved exactly, need none.
      polish: share of the cost whose items are solved exactly while prices are sought;
        small problems are solved exactly in any case.
      rounds: exact solutions of them at most.
      certify: items that the bound is taken from; more are closer, fewer are faster.
      chain: whether targets are raised, as far as capacities permit, to what the period
        before leaves, so that no plan asks for stock to be taken out.
      devices: that share a process's items; 0 for as many as are visible and have
        enough to do.
      memory_gb: GB that a process may take for the scenarios of its items; those that
        do not fit into half of it are drawn again in every pass. 0 for no limit.
      sample_items: items that prices are found on, drawn by strata of size, capacities
        in proportion; all items are then planned and repaired at these prices in a few
        passes, and the bound holds for all of them. 0 for all items.
    """

    method: str = _word("newton", "newton", "adam", "sgd", "lbfgs")
    gap: float = _option(0.05, _share)
    violation: float = _amount(0.001)
    max_evaluations: int = _count(40, low=1)
    smoothing: tuple[float, ...] = _option((1.0, 0.3), _falling)
    levels: int = _count(8, low=1)
    atoms: int = _count(64, low=4)
    whole_units: bool = _option(True, _flag)
    time_limit: float = _amount(0.0)
    calibrate: bool = _option(True, _flag)
    corrections: int = _count(8, low=0)
    polish: float = _option(0.0, partial(_real, low=0.0, high=1.0))
    rounds: int = _count(5, low=1)
    certify: int = _count(48, low=2)
    chain: bool = _option(False, _flag)
    devices: int = _count(0, low=0)
    memory_gb: float = _amount(0.0)
    sample_items: int = _count(0, low=0)


@dataclass(frozen=True)
class Refine(_Section):
    """How a plan is moved down the slope of simulated cost.

    Attributes:
      steps: at most; 0 leaves the plan as it is. `meio solve --refine` sets 60.
      paths: of a step.
      rate: of the first step, in roots of a target; it falls to 0.
      selection: paths that the best step is chosen on.
    """

    steps: int = _count(0, low=0)
    paths: int = _count(8, low=1)
    rate: float = _option(0.3, partial(_real, low=1e-6, high=10.0))
    selection: int = _count(64, low=1)


@dataclass(frozen=True)
class Simulate(_Section):
    """How plans are simulated.

    Attributes:
      paths: fresh paths of demand and lead times; 0 for no simulation after a solve.
      seed: of the paths; plans are made on draws of another family.
      slots: parts of a period in which its demand comes; each is served by what it
        finds.
      policies: what a solved plan is compared with.
      depots: whether vendors and depots are simulated where tables have them; else
        nodes are supplied from outside, where stock never ends.
    """

    paths: int = _count(64, low=0)
    seed: int = _count(1, low=0)
    slots: int = _count(1, low=1, high=1000)
    policies: tuple[str, ...] = _option(("base_stock",), _words)
    depots: bool = _option(True, _flag)


@dataclass(frozen=True)
class Output(_Section):
    """What is written.

    Attributes:
      runs: folder in which each run makes its own.
      csv: whether tables are also written as CSV.
      report: whether a run gets its page, report.html, where matplotlib and jinja2 are.
    """

    runs: str = _option("runs", _text)
    csv: bool = _option(False, _flag)
    report: bool = _option(True, _flag)


@dataclass(frozen=True)
class Config:
    """All options of a run.

    Attributes:
      problem: what is planned.
      units: what one unit of each column is.
      scenarios: how demand scenarios are drawn.
      economics: costs where the tables leave them out.
      solver: how the dual is solved, and when it stops.
      refine: how they are refined by simulation.
      simulate: how plans are simulated.
      output: what is written.
      source: path of the TOML file that was read, or "".
      given: options set in the file or by an override, such as "problem.horizon".
    """

    problem: Problem = Problem()
    units: Units = Units()
    scenarios: Scenarios = Scenarios()
    economics: Economics = Economics()
    solver: Solver = Solver()
    refine: Refine = Refine()
    simulate: Simulate = Simulate()
    output: Output = Output()
    source: str = field(default="", compare=False)
    given: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def tables_folder(self) -> Path:
        """The folder of the tables, seen from the working directory."""
        return Path(self.source).parent / self.problem.tables

    def is_set(self, option: str) -> bool:
        """Whether the user chose an option, such as "problem.horizon"."""
        section, name = option.split(".")
        default = getattr(getattr(Config, section), name)
        chosen = getattr(getattr(self, section), name)
        return option in self.given or chosen != default

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Sections and options as plain values, defaults included."""
        return {
            section: {
                option.name: _plain(getattr(getattr(self, section), option.name))
                for option in fields(getattr(self, section))
            }
            for section in _SECTIONS
        }


_SECTIONS = tuple(f.name for f in fields(Config) if is_dataclass(f.default))


def load(path: str | Path) -> Config:
    """The options in a TOML file.

    Args:
      path: of the file.

    Raises:
      InputError: with everything that is wrong in it.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError([_fault("C04", path.name, "not UTF-8 text")]) from None
    except OSError as error:
        reason = error.strerror or "cannot be read"
        hint = "meio demo --write DIR shows an example"
        raise InputError([_fault("C05", str(path), reason, hint)]) from None
    return replace(parse(text, path.name), source=str(path))


def parse(text: str, name: str = "meio.toml") -> Config:
    """The options in TOML text.

    Args:
      text: the TOML.
      name: of the file, for messages.

    Raises:
      InputError: with everything that is wrong in it.
    """
    try:
        options = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at = re.search(r"\(at line (\d+)", message)
        where = f"{name}:{at[1]}" if at else name
        what = re.sub(r" \(at .*\)$", "", message)
        hint = 'Text is quoted, as in name = "x"; sections are lines like [solver]'
        raise InputError([_fault("C04", where, f"not TOML: {what}", hint)]) from None
    lines = _line_numbers(text)

    def place(*path: str) -> str:
        line = lines.get(path) or lines.get(path[:1])
        return f"{name}:{line}" if line else name

    return _merge(Config(), options, place)


def from_facts(facts: Mapping[str, Any], name: str = "run.json") -> Config:
    """The config of a run.

    Args:
      facts: of the run: `options`, as `Config.to_dict` gave them, and which of them
        were `given`.
      name: of where they come from, for messages.

    Raises:
      InputError: with everything that is wrong in them.
    """
    config = _merge(Config(), facts["options"], lambda *_: name)
    return replace(config, given=frozenset(facts.get("given", ())))


def with_overrides(config: Config, overrides: Iterable[str]) -> Config:
    """A config with some options replaced.

    Args:
      config: where the others come from.
      overrides: such as "solver.gap=0.01"; a value that is not TOML is text.

    Raises:
      InputError: with everything that is wrong with them.
    """
    faults = []
    for override in overrides:
        path, equals, text = (part.strip() for part in override.partition("="))
        place = f"--set {override}"
        if not equals or path.count(".") != 1:
            hint = "Write --set section.option=value, as in --set solver.gap=0.01"
            faults.append(_fault("C01", place, "not an option and a value", hint))
            continue
        section, option = path.split(".")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, KeyError):
            value = text
        try:
            config = _merge(config, {section: {option: value}}, lambda *_, p=place: p)
        except InputError as error:
            faults.extend(error.faults)
    if faults:
        raise InputError(faults)
    return config


def to_toml(config: Config) -> str:
    """The resolved options as TOML that `parse` reads back."""
    blocks = [
        "\n".join([f"[{section}]", *(f"{k} = {_toml(v)}" for k, v in options.items())])
        for section, options in config.to_dict().items()
    ]
    return "\n\n".join(blocks) + "\n"


def _merge(
    config: Config, options: Mapping[str, Any], place: Callable[..., str]
) -> Config:
    """The config with `options` in it; raises once, with every fault."""
    faults: list[Fault] = []
    sections: dict[str, Any] = {}
    given = set(config.given)
    for section, chosen in options.items():
        if section not in _SECTIONS:
            faults.append(_unknown(place(section), section, section, _SECTIONS))
            continue
        if not isinstance(chosen, dict):
            text = f"{section}: is a section"
            faults.append(_fault("C02", place(section), text, f"Write [{section}]"))
            continue
        old = getattr(config, section)
        known = {option.name: option for option in fields(old)}
        for name, value in chosen.items():
            full, where = f"{section}.{name}", place(section, name)
            if name not in known:
                faults.append(_unknown(where, full, name, tuple(known)))
            elif wrong := known[name].metadata["test"](value):
                faults.append(_bad_value(where, full, value, wrong))
        if not faults:
            sections[section] = replace(
                old, **{k: _typed(v, getattr(old, k)) for k, v in chosen.items()}
            )
            given.update(f"{section}.{name}" for name in chosen)
    if faults:
        raise InputError(faults)
    return replace(config, **sections, given=frozenset(given))


def _typed(value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(v if isinstance(v, str) else float(v) for v in value)
    if isinstance(default, float):
        return float(value)
    return value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _line_numbers(text: str) -> dict[tuple[str, ...], int]:
    """Line of each section and option, by a scan: tomllib does not keep them."""
    lines: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+([^\[\]]+)\]", line):
            section = _path(header[1])
            lines.setdefault(section, number)
        elif option := re.match(r"\s*([\w\-.\s\"']+?)\s*=", line):
            lines.setdefault(section + _path(option[1]), number)
    return lines


def _path(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _fault(code: str, place: str, text: str, hint: str = "") -> Fault:
    return Fault("error", code, place, text, hint, kind=f"{place} {text}")


def _unknown(place: str, full: str, name: str, known: tuple[str, ...]) -> Fault:
    near = difflib.get_close_matches(name.lower(), known, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else ""
    what = "key" if "." in full else "section"
    return _fault(
        "C01", place, f"{full}: unknown {what}{guess}", f"Known: {', '.join(known)}"
    )


def _bad_value(place: str, option: str, value: Any, wrong: str) -> Fault:
    shown = _toml(value) if isinstance(value, bool | str) else str(_plain(value))
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return _fault("C02", place, f"{option} = {shown}: {wrong}")
