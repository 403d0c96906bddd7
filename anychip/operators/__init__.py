"""What an aten operator means, as data: contractions, attention, lanes, rows, gathers, moves, collectives.

May import errors, formats, arithmetic; read `forms.py` first, then `table.py`. No torch here: a call is
anything shaped like `programs.Node`.
"""

from anychip.arithmetic.recipe import Number, Recipe, Step
from anychip.operators.forms import (
    Attention,
    Collective,
    Contract,
    Form,
    Gather,
    Host,
    Lanes,
    Move,
    Operand,
    Pass,
    Rows,
    Window,
)
from anychip.operators.table import Operator, find, kind_of, meaning, operators
from anychip.operators.work import Work, total, work

__all__ = [
    "Attention",
    "Collective",
    "Contract",
    "Form",
    "Gather",
    "Host",
    "Lanes",
    "Move",
    "Number",
    "Operand",
    "Operator",
    "Pass",
    "Recipe",
    "Rows",
    "Step",
    "Window",
    "Work",
    "find",
    "kind_of",
    "meaning",
    "operators",
    "total",
    "work",
]
