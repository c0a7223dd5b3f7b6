"""What a simulation showed: metrics of every policy, paired differences, its folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meio_jax.faults import Fault, Faults, InputError

if TYPE_CHECKING:
    import pandas  # noqa: TID251

TABLES = ("kpis", "service", "use", "by_path")


@dataclass(frozen=True, eq=False)
class Outcome:
    """Policies on the same paths; a value, never changed.

    Attributes:
      kpis: by policy and metric: mean over paths, its 95 % interval, and the paired
        difference to the first policy with its interval; `p` is the chance of such a
        difference by luck, adjusted for all that are shown (Holm); `fewer_paths` says
        how many times more paths it would take without common chance.
      service: by policy, region ("all" for the nation) and speed: units asked for a
        period, share served and share on promise with its interval.
      use: by policy, node, resource and period: mean use, that of the busiest path of
        twenty, and the share of paths above capacity.
      by_path: every metric on every path: what `compare` reads.
      facts: paths, seeds, policies, versions.
    """

    kpis: pandas.DataFrame
    service: pandas.DataFrame
    use: pandas.DataFrame
    by_path: pandas.DataFrame
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies, the reference first."""
        return tuple(dict.fromkeys(self.kpis["policy"]))

    def compare(self, reference: str | None = None) -> pandas.DataFrame:
        """The table `kpis` with differences to another policy.

        Args:
          reference: name of a policy; the first one unless given.

        Raises:
          InputError: there is no such policy.
        """
        from meio_jax.tables.outcome import kpis_of

        reference = reference or self.policies[0]
        if reference not in self.policies:
            raise _refuse(
                "reference", f"no policy '{reference}' was simulated",
                f"Known: {', '.join(self.policies)}",
            )  # fmt: skip
        return kpis_of(self.by_path, reference)

    def __repr__(self) -> str:
        cost = self.kpis[self.kpis["metric"] == "cost per period"]
        shown = zip(cost["policy"], cost["value"], strict=True)
        words = ", ".join(f"{policy} {value:,.0f}" for policy, value in shown)
        return f"Outcome({self.facts.get('paths', 0)} paths; cost a period: {words})"

    def save(self, folder: str | Path, *, csv: bool = False) -> Path:
        """Writes tables and facts to a folder, whole or not at all.

        Args:
          folder: a folder that does not exist yet, or is empty.
          csv: write each table as CSV too.

        Raises:
          InputError: the folder has files in it, or cannot be written.
        """
        from meio_jax.plan import move_in
        from meio_jax.tables.write import write_table

        folder = Path(folder).resolve()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise _refuse(
                str(folder), "is there already", "Choose a folder that is new"
            )
        held = None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            held = Path(tempfile.mkdtemp(prefix=".meio-", dir=folder.parent))
            held.chmod(0o755)
            for name in TABLES:
                write_table(getattr(self, name), held / name, csv=csv)
            text = json.dumps(self.facts, indent=2) + "\n"
            (held / "simulation.json").write_text(text)
            move_in(held, folder)
        except OSError as error:
            why = error.strerror or str(error)
            raise _refuse(
                str(folder), f"cannot be written: {why}", "Nothing was left there"
            ) from error
        finally:
            if held is not None:
                shutil.rmtree(held, ignore_errors=True)
        return folder


def load(folder: str | Path) -> Outcome:
    """Reads a folder that `Outcome.save`, `meio solve` or `meio simulate` wrote.

    Args:
      folder: of the results, such as a run's `simulation`.

    Raises:
      InputError: a file of it is missing or damaged.
    """
    from meio_jax.tables.write import read_table

    folder = Path(folder)
    try:
        facts = json.loads((folder / "simulation.json").read_text())
        tables = {name: read_table(folder / name) for name in TABLES}
        return Outcome(**tables, facts=dict(facts))
    except (OSError, ValueError, TypeError) as error:
        raise _refuse(
            str(folder), f"a file of the simulation is missing or damaged: {error}",
            "Simulate again",
        ) from error  # fmt: skip


def _refuse(place: str, text: str, hint: str) -> InputError:
    return InputError(Faults([Fault("error", "S01", place, text, hint)]))
