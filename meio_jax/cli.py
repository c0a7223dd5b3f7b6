"""The `meio` command: the only printing and the only exits.

Exit codes: 0 done; 2 bad command or input; 3 stopped by a limit or Ctrl-C with a usable
plan; 4 no plan exists; 1 a defect of ours.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from meio_jax import __version__
from meio_jax.faults import InputError
from meio_jax.whatif import ONE_PASS

DONE, BAD_INPUT, STOPPED, NO_PLAN = 0, 2, 3, 4
PAGE = "report.html"
GAP_HELP = "Relative gap between plan and bound to ask for."
FROM_HELP = "Start from the prices of a run, and compare with its targets."
REFINE_HELP = "Then improve the plan by simulation, in minutes."
REFINE_STEPS = 60
PROCESSES_HELP = "Share the items: number of processes, or auto in a cluster."


class _Refusal(click.ClickException):
    """A command that cannot be done as it was given."""

    exit_code = BAD_INPUT


class _Commands(click.Group):
    """Commands with one clear message for bad input, and none with a stack trace."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(str(error), err=True)
            sys.exit(NO_PLAN if error.faults.infeasible else BAD_INPUT)
        except KeyboardInterrupt:
            click.echo("stopped before there was a plan; nothing was written", err=True)
            sys.exit(STOPPED)

    def resolve_command(self, ctx, args):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.commands, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(error.message + hint, ctx) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="meio")
def main() -> None:
    """Plan how much of each item to hold at which building, under shared capacities."""


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--set", "changes", multiple=True, help="Change an option: --set a.b=1")
def check(source: Path, changes: tuple[str, ...]) -> None:
    """List every fault of the tables in SOURCE, a folder or a meio.toml."""
    from meio_jax.tables import check_folder, scan

    config, folder = _config(source, changes)
    faults = check_folder(folder, config)
    if len(faults):
        click.echo(str(faults))
    tables, _ = scan(folder)
    click.echo(f"tables   {_sizes(tables)}")
    click.echo(_verdict(faults))
    if faults.errors:
        sys.exit(NO_PLAN if faults.infeasible else BAD_INPUT)


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--set", "changes", multiple=True, help="Change an option: --set a.b=1")
@click.option("--gap", type=float, help=GAP_HELP)
@click.option("--seed", type=int, help="Seed of the scenarios.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.")
@click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
@click.option("--json", "as_json", is_flag=True, help="Print run.json to stdout.")
@click.option("--resume", is_flag=True, help="Go on from the newest prices there are.")
@click.option("--refine", is_flag=True, help=REFINE_HELP)
@click.option("--processes", envvar="MEIO_PROCESSES", help=PROCESSES_HELP)
@click.option("--process-id", "number", type=int, envvar="MEIO_PROCESS")
@click.option("--coordinator", envvar="MEIO_COORDINATOR", help="Host and port of 0.")
@click.option("--from", "begin", type=click.Path(path_type=Path), help=FROM_HELP)
def solve(
    source, changes, gap, seed, out, csv, as_json, resume, refine, processes, number,
    coordinator, begin,
) -> None:  # fmt: skip
    """Plan the tables in SOURCE, a folder or a meio.toml, into a run folder."""
    if resume and begin is not None:
        raise click.UsageError("--resume or --from, not both")
    log = _Log(silent=_join(processes, number, coordinator) > 0)
    if gap is not None:
        changes = (*changes, f"solver.gap={gap!r}")
    if seed is not None:
        changes = (*changes, f"scenarios.seed={seed}")
    config, folder = _config(source, changes)
    if csv:
        config = replace(config, output=replace(config.output, csv=True))
    config = _refined(config, refine)
    name = config.problem.name or folder.resolve().name
    previous = None
    if begin is not None:
        from meio_jax.plan import load

        previous = load(begin)
    _run(config, folder, out, as_json, name, resume, log=log, previous=previous)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--policy", "names", multiple=True, help="A baseline, as base_stock.")
@click.option("--paths", type=click.IntRange(1), help="Fresh paths.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the paths.")
@click.option("--slots", type=click.IntRange(1), help="Parts of a period.")
@click.option("--weeks", help="Periods of history to replay: FIRST:LAST.")
@click.option("--no-depots", is_flag=True, help="Leave out vendors and DCs.")
@click.option("--certify", is_flag=True, help="Bound what any plan costs; minutes.")
@click.option("--tables", type=click.Path(path_type=Path), help="Where they are now.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.")
@click.option("--csv", is_flag=True, help="Write the tables as CSV too.")
def simulate(
    runs, names, paths, seed, slots, weeks, no_depots, certify, tables, out, csv
) -> None:
    """Simulate run folders RUNS, and baselines, side by side on fresh paths."""
    from meio_jax import load
    from meio_jax.config import from_facts, with_overrides

    if weeks is not None and weeks.count(":") != 1:
        raise click.UsageError(f"--weeks {weeks}: write FIRST:LAST")
    plans = [load(run) for run in runs]
    given = {"paths": paths, "seed": seed, "slots": slots}
    sets = [f"simulate.{k}={v}" for k, v in given.items() if v is not None]
    sets += ["simulate.depots=false"] if no_depots else []
    config = with_overrides(from_facts(plans[0].facts), sets)
    folder = tables or Path(plans[0].facts["tables"])
    out = out or runs[0] / "simulation"
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise _Refusal(f"{out} is there already; choose a new folder with --out")
    if not folder.is_dir():
        raise _Refusal(f"{folder}: the tables are no longer there; give --tables DIR")
    import meio_jax as meio

    log = _Log()
    outcome = meio.simulate(
        folder, [*plans, *(names or config.simulate.policies)],
        weeks=tuple(weeks.split(":")) if weeks else None, config=config,
        callback=_Paths(log), certify=certify,
    )  # fmt: skip
    _show_outcome(log, outcome)
    outcome.save(out, csv=csv)
    log.line(f"time     {outcome.facts['seconds']:.1f} s, results in {out}")


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--capacity", "words", multiple=True, help="NODE:RESOURCE:CHANGE")
@click.option("--period", "periods", multiple=True, help="Where it holds; else all.")
@click.option("--demand", multiple=True, help="+5%, ITEM:+5% or region=R:+5%")
@click.option("--cost", multiple=True, help="TABLE.COLUMN:CHANGE")
@click.option("--lead-time", multiple=True, help="lanes:+1, vendors:+1, FROM>TO:+1")
@click.option("--cutoff", multiple=True, help="NODE:+1, in hours")
@click.option("--close", multiple=True, help="A node to hold and ship nothing.")
@click.option("--sensitivities", "ranked", is_flag=True, help="Rank all inputs.")
@click.option(
    "--solve", "again", is_flag=True, help="Then plan again, from its prices."
)
@click.option("--out", type=click.Path(path_type=Path), help="The new run's folder.")
@click.option("--tables", type=click.Path(path_type=Path), help="Where they are now.")
def whatif(run: Path, words, periods, ranked, again, out, tables, **changes) -> None:
    """What other capacities or tables would save or cost the plan of the folder RUN.

    A change is +10%, -10%, +50, -50, *1.2 or =1200, as in FC02:storage:+10%; node *
    stands for all nodes that have such a limit. Capacities are answered at once; other
    changes take one pass over the items at the plan's prices. A column counts in the
    unit that it has in its file. --sensitivities says what 10 % or an hour more of
    every kind of input would cost or save, at these prices.
    """
    from meio_jax import load
    from meio_jax.config import from_facts
    from meio_jax.whatif import parse

    changes = {kind: given for kind, given in changes.items() if given}
    if ranked:
        if words or changes or again or out:
            raise click.UsageError("--sensitivities goes with --tables alone")
        _show_sensitivities(load(run), tables)
        return
    if not words and not changes:
        raise click.UsageError("nothing to ask: give --capacity NODE:RESOURCE:CHANGE")
    if not again and (out or (tables and not changes)):
        raise click.UsageError("--out and --tables go with --solve")
    plan = load(run)
    config, log = from_facts(plan.facts), _Log()
    capacity, changed = parse(words, periods), None
    folder = tables or Path(plan.facts["tables"])
    if (changes or again) and not folder.is_dir():
        raise _Refusal(f"{folder}: the tables are no longer there; give --tables DIR")
    if changes:
        from meio_jax.onepass import ask

        _device()
        asked, changed = ask(plan, capacity, changes, tables=folder, config=config)
    else:
        asked = plan.what_if(capacity)
    _show_question(log, plan, asked, config)
    if not again:
        return
    from meio_jax.api import changed_tables, changes_of

    if changed is None:
        changed = changed_tables(plan, asked, folder, config)

    def finish(found) -> None:
        found.facts["what_if"] = changes_of(plan, asked)
        _show_answer(log, plan, found, asked, config)

    name = f"{plan.facts.get('name') or run.resolve().name}-whatif"
    out = out or _new_folder(run.resolve().parent, f"{run.resolve().name}-whatif")
    _run(
        config, changed, out, False, name, log=log, start=plan.checkpoint, finish=finish
    )


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--item", required=True, help="Name of the item.")
@click.option("--node", required=True, help="Name of the node.")
@click.option("--period", help="Name of the period; all if not given.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw: .png, .svg, .pdf")
@click.option("--since", type=click.Path(path_type=Path), help="An earlier run.")
@click.option("--tables", type=click.Path(path_type=Path), help="Where they are now.")
def explain(run: Path, item, node, period, plot, since, tables) -> None:
    """Why the target of an item at a node is what it is, in the run folder RUN.

    Step by step, and the steps add up: demand, economics, prices of storage and flow,
    sharing with other nodes, whole units, limits, and what fitting to capacity did.
    --plot draws its target, stock and arrivals on fresh paths.
    """
    from meio_jax import load

    _device()
    plan, earlier = load(run), load(since) if since else None
    found = plan.explain(item, node, period, since=earlier, tables=tables)
    click.echo(str(found))
    if plot is None:
        return
    from meio_jax.explain import simulate_fan
    from meio_jax.report.fan import save

    fan = simulate_fan(plan, item, node, tables=tables)
    click.echo(f"picture  {save(fan, plot)}", err=True)


CHANGES = 12  # that are printed


def _show_question(log: _Log, plan, asked, config) -> None:
    """The answer without solving, its grade, and the part of every change."""
    log.line(f"plan     {_bounds(plan.cost, plan.bound, plan, config)}")
    unit, periods = _per(config), _periods(plan)
    for edit in asked.edits[:CHANGES]:
        log.line(f"change   {edit['text']}")
    part = lambda x: _money(x / periods, "+")
    for k, ((node, resource), rows) in enumerate(
        asked.changes.groupby(["node", "resource"], sort=False)
    ):
        if k == CHANGES:
            log.line("         and more of them")
            break
        before, after = rows["capacity"], rows["new_capacity"]
        span = lambda x: "-".join(
            f"{v:,.6g}" for v in dict.fromkeys((x.min(), x.max()))
        )
        count = f"{len(rows)} {config.units.period}{'' if len(rows) == 1 else 's'}"
        log.line(
            f"change   {node} {resource}, {span(before)} to {span(after)}, {count}:"
        )
        log.line(
            f"         bound {part(rows['bound_change'].sum())}, "
            f"estimate {part(rows['estimate'].sum())} {unit}"
        )
    log.line(f"grade    {asked.grade}{'' if asked.edits else _sure(plan)}")
    if asked.bound == float("-inf"):
        log.line("answer   nothing is proven")
    elif asked.costs_at_least > 0:
        log.line(
            f"answer   costs at least {_money(asked.costs_at_least / periods)} {unit}"
        )
    else:
        log.line(
            f"answer   saves at most {_money(asked.saves_at_most / periods)} {unit}"
            "; that it costs anything is not proven"
        )
    log.line(
        "bound    no plan of the changed problem below "
        f"{_money(asked.bound / periods)} {unit}"
    )
    log.line(
        f"estimate {part(asked.estimate)} {unit} at the plan's prices: "
        "an estimate, not proven"
    )


def _show_sensitivities(plan, tables) -> None:
    """What a little more of every kind of input adds, a period."""
    from meio_jax.config import from_facts

    _device()
    log, unit = _Log(), _per(from_facts(plan.facts))
    table = plan.sensitivities(tables=tables)
    log.line(f"grade    {ONE_PASS}; {unit}")
    for row in table.to_dict("records"):
        share = f"{100 * row['share'] + 0.0:+.2f} % of cost"
        money = _money(row["money"], "+")
        log.line(f"more     {row['input']:<18}{row['change']:>5} {money:>12}  {share}")


def _show_answer(log: _Log, plan, found, asked, config) -> None:
    """Both plans, and whether the free answer held."""
    unit, periods = _per(config), _periods(plan)
    log.line("what if  solved again, beside the plan as it was")
    log.line(f"  before {_bounds(plan.cost, plan.bound, plan, config)}")
    log.line(f"  now    {_bounds(found.cost, found.bound, found, config)}")
    change = found.cost - plan.cost
    word = "dearer" if change > 0 else "cheaper"
    log.line(f"  cost   {_money(abs(change) / periods)} {unit} {word}")
    if found.status == "over_capacity":
        text = "cannot be compared: the new plan exceeds a capacity"
    elif asked.holds(found.cost):
        text = f"held: the new plan costs {_money(asked.bound / periods)} or more"
    else:
        text = "did NOT hold: please report this run as a defect"
    log.line(f"  {'pass' if asked.edits else 'free'}   {text}")


def _bounds(cost: float, bound: float, plan, config) -> str:
    periods = _periods(plan)
    proven = f"bound {_money(bound / periods)}"
    gap = (cost - bound) / max(abs(cost), 1e-12)
    return f"cost {_money(cost / periods)} {_per(config)}, {proven}, gap {gap:.2%}"


def _per(config) -> str:
    return f"{config.units.currency} a {config.units.period}"


def _periods(plan) -> int:
    return plan.facts["sizes"]["periods"]


def _money(value: float, sign: str = "") -> str:
    """Whole units of money, and three digits of what is little."""
    return format(value + 0.0, f"{sign},.{'0f' if abs(value) >= 1000 else '4g'}")


def _sure(plan) -> str:
    proof = plan.facts["certificate"]
    return "" if proof["items"] == proof["of"] else "; 97.5 % sure, as the bound is"


@main.command()
@click.option(
    "--write", type=click.Path(path_type=Path), help="Write the demo's tables."
)
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.")
@click.option("--json", "as_json", is_flag=True, help="Print run.json to stdout.")
@click.option("--refine", is_flag=True, help=REFINE_HELP)
def demo(write: Path | None, out: Path | None, as_json: bool, refine: bool) -> None:
    """Plan the real demo that the package ships, or write its tables."""
    from meio_jax.instances.demo import demo_folder

    if write is not None:
        _write_demo(demo_folder(), write)
        return
    config, folder = _config(demo_folder() / "meio.toml", ())
    _run(_refined(config, refine), folder, out, as_json, "demo")


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--excel", type=click.Path(path_type=Path), help="Exceptions, as .xlsx.")
@click.option("--fans", type=click.IntRange(0), default=0, help="Draw so many items.")
@click.option("--tables", type=click.Path(path_type=Path), help="For --fans: where.")
def report(runs, out, excel, fans: int, tables) -> None:
    """Write the run folder RUNS as one page of HTML; several are compared.

    The page is of the first run and goes into its folder as report.html. With --excel
    its exceptions are written as a workbook, and the page only if --out is given too.
    With --fans 20 the 20 items that ship most are simulated alone, seconds each, and
    their stock is drawn.
    """
    from meio_jax import load
    from meio_jax.outcome import load as load_outcome
    from meio_jax.report import Run, write

    found = []
    for folder in runs:
        plan, results = load(folder), folder / "simulation"
        outcome = load_outcome(results) if results.is_dir() else None
        found.append(Run(folder.resolve().name, plan, outcome))
    if excel is not None:
        from meio_jax.report.excel import write_excel

        click.echo(f"written  {write_excel(found[0], excel)}", err=True)
        if out is None:
            return
    if fans:
        from meio_jax.explain import simulate_fans

        _device()
        drawn = simulate_fans(found[0].plan, fans, tables=tables)
        found[0] = replace(found[0], fans=drawn)
    page = write(_told_apart(found), out or runs[0] / PAGE)
    click.echo(f"next     open {page if out is None else out}", err=True)


@main.command()
def doctor() -> None:
    """Look at this machine: versions, devices, caches, and whether JAX works here."""
    from meio_jax.doctor import examine

    fixes = []
    for found in examine():
        mark = "  !" if found.fix else ""
        click.echo(f"{found.name:<10}{found.says}{mark}")
        fixes += [found.fix] if found.fix else []
    if not fixes:
        click.echo("ready")
        return
    click.echo(f"fix       {fixes[0]}")
    sys.exit(BAD_INPUT)


def _told_apart(runs: list):
    """Runs whose folders have one name get a number."""
    names = [run.name for run in runs]
    return [
        replace(run, name=f"{run.name} ({k + 1})") if names.count(run.name) > 1 else run
        for k, run in enumerate(runs)
    ]


def _refined(config, asked: bool):
    """The options with refinement, where it was asked for and they have none."""
    if not asked or config.refine.steps:
        return config
    return replace(config, refine=replace(config.refine, steps=REFINE_STEPS))


def _write_demo(source: Path, target: Path) -> None:
    import shutil

    from meio_jax.plan import move_in

    target = target.resolve()
    if target.exists() and not target.is_dir():
        raise _Refusal(f"{target} is a file; choose a new folder")
    if target.exists() and any(target.iterdir()):
        raise _Refusal(f"{target} has files in it; choose a new folder")
    held = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copytree(source, held, ignore=shutil.ignore_patterns("__pycache__"))
        move_in(held, target)
    except OSError as error:
        shutil.rmtree(held, ignore_errors=True)
        raise _Refusal(f"{target}: {error.strerror}") from None
    click.echo(f"written  {target}\nnext     meio check {target}", err=True)
    click.echo(f"         meio solve {target / 'meio.toml'}", err=True)


def _config(source: Path, changes):
    """Options and the folder of the tables, from a folder or a TOML file."""
    from meio_jax import config as options

    if source.is_dir():
        file = source / "meio.toml"
        config = options.load(file) if file.is_file() else options.Config()
        folder = config.tables_folder if file.is_file() else source
    elif source.is_file():
        config = options.load(source)
        folder = config.tables_folder
    else:
        raise click.UsageError(f"{source}: no such folder or file")
    return options.with_overrides(config, list(changes)), Path(folder)


def _run(
    config, tables, out: Path | None, as_json: bool, name: str, resume=False, *,
    log: _Log | None = None, start=None, finish=None, previous=None,
) -> None:  # fmt: skip
    """Plans tables, or the folder that holds them, into a run folder, and exits."""
    begin, log = time.perf_counter(), log or _Log()
    home = Path(config.output.runs) if out is None else out.parent
    config = replace(config, problem=replace(config.problem, name=name))
    if out is None:
        out = _run_folder(home, name)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise _Refusal(f"{out} is there already; choose a new folder")
    from meio_jax.tables import examine, read

    tables = read(tables) if isinstance(tables, Path) else tables
    examined = examine(tables, config)
    if examined.faults.errors:
        raise InputError(examined.faults)
    log.line(_first_line(out))
    log.line(f"tables   {_sizes(examined.tables, examined.calendar)}")
    log.line(_verdict(examined.faults))
    for text in str(examined.faults).splitlines():
        log.line(f"         {text}")
    from meio_jax.api import plan_examined
    from meio_jax.mesh import leave
    from meio_jax.tables.hashing import digest

    mark = digest(examined.tables)
    start = _newest(home, name, mark, log) if resume else start
    if previous is not None:
        start = previous.checkpoint
        log.line(
            f"start    from the prices of a plan after {start.evaluations} evaluations"
        )
    show, keeper = _Progress(log), _Keeper(home, name, log)
    plan = plan_examined(
        examined, config, show, start=start, keep=None if log.silent else keeper,
        input_digest=mark, previous=previous,
    )  # fmt: skip
    show.end()
    if leave():  # the first process writes
        sys.exit(DONE if plan.status == "optimal_within_gap" else STOPPED)
    outcome = _simulated(examined, config, plan, mark, log)
    plan.facts["command_seconds"] = round(time.perf_counter() - begin, 1)
    _summary(log, plan, config, out, outcome)
    if finish is not None:
        finish(plan)
    plan.save(out, csv=config.output.csv, log="\n".join(log.lines) + "\n")
    if outcome is not None:
        outcome.save(out / "simulation", csv=config.output.csv)
    keeper.drop()
    if config.output.report:
        _report(log, plan, outcome, out)
    if as_json:
        click.echo((out / "run.json").read_text(), nl=False)
    if plan.status == "optimal_within_gap":
        sys.exit(DONE)
    sys.exit(STOPPED)


def _join(processes: str | None, number: int | None, coordinator: str | None) -> int:
    """Makes this process one of those that share the items, if it is to be one; its
    number."""
    if processes is None:
        if number is not None or coordinator:
            raise click.UsageError("--process-id and --coordinator go with --processes")
        return 0
    from meio_jax.mesh import join

    if processes == "auto":
        return join(0, 0, "")
    if not processes.isdigit() or number is None or not coordinator:
        hint = "give --processes N --process-id K --coordinator HOST:PORT, or auto"
        raise click.UsageError(hint)
    if not 0 <= number < int(processes):
        raise click.UsageError(f"--process-id {number}: must be 0 to {processes} - 1")
    return join(int(processes), number, coordinator)


def _report(log: _Log, plan, outcome, out: Path) -> None:
    """The run's page, if what it takes is installed; a line of the log either way."""
    from meio_jax.report import ADVICE, Run, missing, write

    if lacking := missing():
        text = f"next     for a page of pictures: {ADVICE}  ({', '.join(lacking)})"
    else:
        try:
            write([Run(out.resolve().name, plan, outcome)], out / PAGE)
            text = f"next     open {out / PAGE}"
        except InputError as error:  # the run is there all the same
            text = f"         no page: {error.faults[0].text}"
        except KeyboardInterrupt:
            text = f"next     meio report {out}  (the page was stopped)"
    log.line(text)
    with suppress(OSError), (out / "log.txt").open("a") as file:
        file.write(text + "\n")


def _simulated(examined, config, plan, mark: str, log: _Log):
    """The plan beside the baselines that were asked for, on fresh paths."""
    if not config.simulate.paths:
        return None
    from meio_jax.runs import read_policies, simulate_examined

    policies = [plan, *read_policies(config.simulate.policies, config.solver)]
    return simulate_examined(
        examined, config, policies, callback=_Paths(log), input_digest=mark
    )


def _newest(home: Path, name: str, mark: str, log: _Log):
    """The checkpoint to go on from, if there is one; says which."""
    from meio_jax.checkpoint import newest

    found = newest(home, name, mark)
    if found is None:
        log.line(f"resume   nothing yet of '{name}' with these tables: from no prices")
        return None
    path, start = found
    log.line(f"resume   from {start.evaluations} evaluations in {path}")
    return start


class _Keeper:
    """Keeps the prices of a run that may be killed, beside where its folder will be."""

    def __init__(self, home: Path, name: str, log: _Log):
        from meio_jax.checkpoint import running, write

        self.path, self.write, self.log = running(home, name), write, log
        self.able = True

    def __call__(self, checkpoint) -> None:
        if not self.able:
            return
        try:
            self.write(checkpoint, self.path)
        except OSError as error:  # the run matters more than its checkpoint
            self.able = False
            self.log.line(f"         no checkpoints: {self.path}: {error.strerror}")

    def drop(self) -> None:
        """Removes the checkpoint of a run that is complete."""
        self.path.unlink(missing_ok=True)


class _Log:
    """Lines for the terminal, kept for log.txt."""

    def __init__(self, silent: bool = False):
        self.lines: list[str] = []
        self.silent = silent

    def line(self, text: str) -> None:
        """Prints a line and keeps it."""
        self.lines.append(text)
        if not self.silent:
            click.echo(text, err=True)


class _Progress:
    """The solver's log; between its lines a live one on a terminal."""

    HEAD = (
        "solve    phase   evaluations         value   over capacity   priced   seconds"
    )

    def __init__(self, log: _Log):
        self.log, self.live = log, sys.stderr.isatty()
        self.headed, self.last = False, 0.0

    def __call__(self, now) -> None:
        over = "" if now.phase == "refine" else f"{now.violation:.2%}"
        text = (
            f"         {now.phase:<7} {now.evaluations:>11,} {now.value:>13,.0f}"
            f" {over:>14} {now.priced:>8,} {now.seconds:>9.1f}"
        )
        if not self.headed:
            self.log.line(self.HEAD)
            self.headed = True
        steps = now.phase not in ("sample", "ascend") or now.evaluations % 5 == 0
        if steps or now.seconds - self.last > 20:
            self.end()
            self.log.line(text)
            self.last = now.seconds
        elif self.live:
            click.echo("\r" + text, nl=False, err=True)

    def end(self) -> None:
        """Clears the live line."""
        if self.live:
            click.echo("\r" + " " * 90 + "\r", nl=False, err=True)


class _Paths:
    """A live line of the paths that are simulated, on a terminal."""

    def __init__(self, log: _Log):
        self.log, self.live = log, sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if self.live:
            end = "\n" if done == total else ""
            text = f"\rsimulate {done:,} of {total:,} paths"
            click.echo(text + end, nl=False, err=True)


SHOWN = (  # metric, name, decimals; of shares, per cent
    ("cost per period", "cost a {period}", 0),
    ("fill rate", "served", 1),
    ("on promise rate", "on promise", 1),
    ("local share", "from the home node", 1),
    ("shipping cost per unit", "shipping a unit", 2),
    ("stock units", "stock, units", 0),
    ("storage above capacity, share of node-periods", "stock above storage", 1),
)


def _show_outcome(log: _Log, outcome) -> None:
    """A line for each policy and metric: the mean, its interval, the difference."""
    facts, table = outcome.facts, outcome.kpis.set_index(["policy", "metric"])
    first, *others = outcome.policies
    what = f"{facts['paths']:,} fresh paths"
    if facts["weeks"]:
        what = f"{' to '.join(facts['weeks'])}, {facts['paths']:,} draws of lead times"
    log.line(f"simulated on {what}, 95 % intervals; difference to the {first}")
    for metric, name, digits in SHOWN:
        if (first, metric) not in table.index:
            continue
        share = metric.endswith(("rate", "share", "node-periods"))
        form = f"{{:.{digits}%}}" if share else f"{{:,.{digits}f}}"
        form = form.format
        for k, policy in enumerate(outcome.policies):
            row = table.loc[(policy, metric)]
            half = (row["high"] - row["low"]) / 2
            label = name.format(period=facts["period"]) if k == 0 else ""
            line = f"  {label:<22}{policy:<16}{form(row['value']):>10}"
            line += f" +-{form(half)}" if half == half else ""
            if policy in others:
                gap = [row[f"difference{x}"] for x in ("", "_low", "_high")]
                line = f"{line:<59}{form(gap[0]):>8}"
                line += f" ({form(gap[1])} to {form(gap[2])})" if half == half else ""
            log.line(line)
    log.line(
        f"  nobody could pay less than {facts['hindsight']:,.0f} on these paths, "
        "not even with every order known"
    )
    law = facts["certificate"]
    if law:
        least = law["bound"] - law["bound_error"]
        log.line(
            f"  no plan of the law of scenarios is below {least:,.0f}, 97.5 % sure"
        )
        log.line(
            f"  where the plan is expected at {law['cost']:,.0f} "
            f"+-{law['cost_error']:,.0f}, {law['paths']:,} paths of the planner's model"
        )


def _run_folder(runs: Path, name: str) -> Path:
    return _new_folder(runs, f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S')}-{name}")


def _new_folder(home: Path, name: str) -> Path:
    folder, k = home / name, 1
    while folder.exists():
        k += 1
        folder = home / f"{name}-{k}"
    return folder


def _first_line(out: Path) -> str:
    from importlib.metadata import version

    return f"meio {__version__}   jax {version('jax')}   {_device()}   {out}"


def _device() -> str:
    import jax

    jax.config.update("jax_enable_x64", True)
    first = jax.devices()[0]
    if first.platform == "cpu":
        return f"cpu ({os.cpu_count()} cores)"
    return f"{first.platform} ({first.device_kind})"


def _sizes(tables, calendar=None) -> str:
    """Row counts of the tables, in words."""
    words = []
    for name in ("items", "nodes", "lanes", "vendors", "regions", "speeds"):
        frame = getattr(tables, name)
        if frame is not None and len(frame):
            words.append(f"{len(frame):,} {name}")
    if calendar is not None:
        words.append(f"{len(calendar.labels)} periods")
    for name in ("demand", "history", "scenarios"):
        frame = getattr(tables, name)
        if frame is not None:
            words.append(f"{len(frame):,} {name} rows")
    return ", ".join(words) or "none"


def _verdict(faults) -> str:
    errors, warnings = faults.errors.total, faults.warnings.total
    plural = lambda n, word: f"{n} {word}{'' if n == 1 else 's'}"
    return f"check    {plural(errors, 'error')}, {plural(warnings, 'warning')}"


def _summary(log: _Log, plan, config, out: Path, outcome) -> None:
    asked = f"gap {plan.gap:.2%} (asked {config.solver.gap:.2%})"
    over = plan.prices["utilization"].max() if len(plan.prices) else 0.0
    fits = "every capacity is respected"
    if plan.status == "over_capacity":
        fits = f"capacities are exceeded by up to {over - 1:.2%}: see prices"
    word = "stopped" if plan.status == "stopped" else "solved"
    log.line(f"{word:<8} {asked}; {fits}")
    value = plan.kpis.set_index("metric")["value"]
    per = "cost per period", "bound per period", "lost sales cost per period"
    log.line(
        f"plan     cost {value[per[0]]:,.0f} a {config.units.period}, "
        f"no plan of the model below {value[per[1]]:,.0f}"
    )
    proof = plan.facts["certificate"]
    all_items = proof["items"] == proof["of"]
    how = (
        "all items solved exactly"
        if all_items
        else (f"from {proof['items']:,} of {proof['of']:,} items, 97.5 % sure")
    )
    log.line(f"bound    {how}")
    log.line(
        f"         distance: targets and prices {proof['model'] / plan.cost:.2%}, "
        f"greedy fulfilment {proof['fulfilment'] / plan.cost:.2%}"
    )
    log.line(f"         within the planning kernel {proof['kernel'] / plan.cost:.2%}")
    log.line(
        f"service  {value['fill rate']:.1%} served, {value['on promise rate']:.1%} on "
        f"promise, {value['local share']:.1%} from the home node"
    )
    able = plan.prices[plan.prices["resource"] != "items"]
    priced = able[able["price"] > 1e-9]
    log.line(f"prices   {len(priced)} of {len(able)} capacities have a price")
    if len(priced):
        money = (priced["price"] * priced["capacity"]).groupby(
            [priced["node"], priced["resource"]]
        )
        node, resource = money.sum().idxmax()
        rows = priced[(priced["node"] == node) & (priced["resource"] == resource)]
        unit = config.units.volume if resource == "storage" else "unit"
        log.line(
            f"dearest  {node} {resource}: one more {unit} is worth up to "
            f"{rows['price'].max():.3g} {config.units.currency} a {config.units.period}"
        )
    _show_orders(log, plan, config.units)
    found = plan.facts.get("refinement")
    if found:
        log.line(
            f"refined  simulated cost {found['before']:,.0f} to {found['after']:,.0f} "
            f"a {config.units.period} on the paths it was chosen on"
        )
    if outcome is not None:
        _show_outcome(log, outcome)
    log.line(f"time     {plan.facts['command_seconds']} s, results in {out}")


def _show_orders(log: _Log, plan, units) -> None:
    """What to order and to send in the first period, depots that are full, and how far
    targets moved."""
    first = plan.targets["period"].iloc[0] if len(plan.targets) else ""
    rows = plan.buys[plan.buys["order_period"] == first]
    if len(plan.buys):
        log.line(
            f"buy      {first}: {rows['quantity'].sum():,.0f} units for "
            f"{rows['cost'].sum():,.0f} {units.currency}, {len(rows):,} orders to "
            f"{rows['vendor'].nunique():,} vendors"
        )
    rows = plan.transfers[plan.transfers["ship_period"] == first]
    if len(plan.transfers):
        log.line(
            f"send     {first}: {rows['quantity'].sum():,.0f} units in {len(rows):,} "
            "transfers"
        )
    priced = plan.depots[plan.depots["price"] > 1e-9].sort_values("price")
    for _, row in priced.drop_duplicates(["node", "resource"], keep="last").iterrows():
        unit = units.volume if row["resource"] == "storage" else "unit"
        unit = units.currency if row["resource"] == "budget" else unit
        what = f"{row['node']} {row['resource']}".strip()
        worth = f"{row['price']:.3g} {units.currency} a {units.period}"
        log.line(f"         {what} is scarce: one more {unit} is worth {worth}")
    value = plan.kpis.set_index("metric")["value"]
    if "targets moved" in value:
        log.line(
            f"moved    {value['targets moved']:.1%} of targets, by "
            f"{value['moved since previous']:.1%} of all units, since the previous plan"
        )


if __name__ == "__main__":
    main()
