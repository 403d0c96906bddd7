"""Runs a user's script as Python itself would, with the device in CUDA's place."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType

from anychip.errors import InvalidInput, NotModelled
from anychip.frontends.torch.capture import StopCapture
from anychip.frontends.torch.dispatch import DEVICE
from anychip.frontends.torch.redirect.absent import explain, line_of
from anychip.frontends.torch.redirect.names import accept_neuron
from anychip.frontends.torch.redirect.processes import work_elsewhere
from anychip.units import binary


def run_script(path: str, arguments: Sequence[str] = ()) -> None:
    """Runs the script unedited as ``__main__``; call `redirect` first and be inside a `Capture`.

    A script that raises is left with its own exception, whose traceback starts at the script's first frame;
    `SystemExit` keeps its code. `StopCapture` ends it quietly.

    Args:
        path: of the script, or of a folder or zip file with a ``__main__.py``.
        arguments: what the script finds in ``sys.argv[1:]``.

    Raises:
        InvalidInput: the file cannot be read or is not Python.
        CannotExistHere: it uses code for one particular accelerator.
        WorkElsewhere: a process that it started uses the device.
    """
    if os.path.isdir(path):
        path = os.path.join(path, "__main__.py")
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}; give the path of a script") from error
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InvalidInput(f"{path}:{line}: not Python: {getattr(error, 'msg', error)}") from error
    if b"neuron" in source:
        accept_neuron()
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=__builtins__, __cached__=None, __spec__=None)
    before = (sys.argv, sys.path[:], sys.modules["__main__"])
    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    sys.modules["__main__"] = main
    try:
        exec(code, main.__dict__)
    except StopCapture:
        return
    except Exception as error:  # noqa: BLE001  # whatever a script raises
        explained = (
            explain(error, path) or work_elsewhere(path) or _too_large(error, path) or _unknown(error, path)
        )
        if explained is not None:
            raise explained from None
        trace = error.__traceback__
        raise error.with_traceback(trace.tb_next if trace is not None else None) from error.__cause__
    finally:
        sys.argv, sys.path[:], sys.modules["__main__"] = before
    lost = work_elsewhere(path)
    if lost is not None:
        raise lost


def _too_large(error: Exception, script: str) -> NotModelled | None:
    """The error of a tensor whose values do not fit into this machine, which computes them."""
    found = re.search(r"DefaultCPUAllocator: .*tried to allocate (\d+) bytes", str(error))
    if found is None:
        return None
    return NotModelled(
        f"{line_of(error.__traceback__, script)}: this machine cannot hold the values of a tensor of "
        f"{binary(int(found[1]))}; run with --no-values, which needs shapes only"
    )


def _unknown(error: Exception, script: str) -> NotModelled | None:
    """The error of a program that depends on values which nobody computed."""
    if not re.search(r"[Mm]eta tensor", str(error)) or DEVICE.inner_device.type != "meta":
        return None
    operator = re.match(r"aten::(\w+)", str(error))
    what = f"{operator[1]} depends on" if operator else "this depends on"
    return NotModelled(
        f"{line_of(error.__traceback__, script)}: {what} values, which --no-values does not compute; "
        "run without it, with a smaller model where this one does not fit"
    )
