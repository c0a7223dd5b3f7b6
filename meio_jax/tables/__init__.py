"""Input tables: read from files or given as frames, checked, and made clean."""

from meio_jax.tables.bundle import TABLES as TABLES
from meio_jax.tables.bundle import Tables as Tables
from meio_jax.tables.check import Examined as Examined
from meio_jax.tables.check import check as check
from meio_jax.tables.check import check_folder as check_folder
from meio_jax.tables.check import examine as examine
from meio_jax.tables.check import normalise as normalise
from meio_jax.tables.periods import Calendar as Calendar
from meio_jax.tables.read import read as read
from meio_jax.tables.read import scan as scan
