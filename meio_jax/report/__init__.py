"""A run as one page of HTML that needs nothing else: sentences, pictures, tables."""

from meio_jax.report.page import html as html
from meio_jax.report.page import write as write
from meio_jax.report.parts import ADVICE as ADVICE
from meio_jax.report.parts import missing as missing
from meio_jax.report.run import Run as Run
