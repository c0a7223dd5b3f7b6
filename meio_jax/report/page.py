"""The page: parts in their order, one HTML text, one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from meio_jax.faults import Fault, Faults, InputError
from meio_jax.report import compare, head, service, worth
from meio_jax.report.exceptions import exceptions
from meio_jax.report.fans import fans
from meio_jax.report.glossary import GLOSSARY
from meio_jax.report.heat import heat
from meio_jax.report.lists import lists
from meio_jax.report.metrics import kpis, waterfall
from meio_jax.report.parts import ADVICE, Part, missing
from meio_jax.report.places import places
from meio_jax.report.run import Run
from meio_jax.report.search import search
from meio_jax.report.whole import replacing

HERE = Path(__file__).parent


def parts(runs: Sequence[Run]) -> Iterator[Part]:
    """The parts of the page of some runs, in their order.

    Args:
      runs: the run that the page is of, and those that it is compared with.
    """
    run = runs[0]
    if len(runs) > 1:
        yield compare.side_by_side(runs)
    if len(runs) == 2:
        yield compare.stability(*runs)
    found = (
        kpis(run), waterfall(run), heat(run), worth.prices(run), worth.value(run),
        service.speeds(run), service.trade(runs), places(run), exceptions(run),
        fans(run), lists(run), search(run),
    )  # fmt: skip
    yield from (part for part in found if part is not None)


def html(runs: Sequence[Run]) -> str:
    """The page of some runs; the same runs give the same text.

    Args:
      runs: the run that the page is of, and those that it is compared with.

    Raises:
      InputError: a package that it needs is not installed.
    """
    if lacking := missing():
        text = f"needs {' and '.join(lacking)}, not installed here"
        raise _refuse("report", text, ADVICE)
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    run = runs[0]
    return environment.get_template("page.html.jinja").render(
        title=" and ".join(run.name for run in runs), line=head.line(run),
        status=head.status(run), summary=head.summary(run), cards=head.cards(run),
        certificates=head.certificates(run), facts=head.facts(run),
        parts=list(parts(runs)), glossary=sorted(GLOSSARY),
    )  # fmt: skip


def write(runs: Sequence[Run], path: str | Path) -> Path:
    """Writes the page of some runs to a file, whole or not at all.

    Args:
      runs: the run that the page is of, and those that it is compared with.
      path: of the file; one that is there is replaced.

    Raises:
      InputError: it cannot be written, or a package is not installed.
    """
    path = Path(path).resolve()
    if path.is_dir():
        raise _refuse(str(path), "is a folder", "Give the file to write, as x.html")
    text = html(runs)
    with replacing(path, "P01", parents=True) as held:
        held.write_text(text, encoding="utf-8")
    return path


def _refuse(place: str, text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "P01", place, text, hint)]))
