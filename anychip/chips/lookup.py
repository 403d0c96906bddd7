"""Finding a chip: by name in the catalogue, or in a Python file of the user's own."""

from __future__ import annotations

import difflib
import functools
import importlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from anychip.chips import this_machine
from anychip.chips.chip import Chip
from anychip.chips.instances import snapshot
from anychip.chips.names import NAMES, SPELLINGS, folded, meant
from anychip.errors import AnychipError, InvalidInput, UnknownName

_ALL = "`anychip chips` lists all."


def names() -> tuple[str, ...]:
    """Every chip of the catalogue, by family."""
    return tuple(NAMES)


def every_chip() -> Iterator[Chip]:
    """Every chip of the catalogue, built."""
    return (by_name(name) for name in NAMES)


def find(text: str) -> Chip:
    """What ``--chip`` says: a name, or the path of a file (with ``.py`` or a slash in it)."""
    return load(text) if text.endswith(".py") or "/" in text else by_name(text)


def by_name(name: str) -> Chip:
    """A chip of the catalogue by any of its names, in any case, or by an instance that carries it.

    >>> by_name("Trainium1").name, by_name("g5").name, by_name("p5.48xlarge").name
    ('trn1', 'a10g', 'h100')

    Raises:
        UnknownName: no such chip; names the nearest.
    """
    if name.strip().casefold() in this_machine.NAMES:
        return _calibrated()
    known = meant(name) or _carried_by(name)
    if known is None:
        raise UnknownName(f'unknown chip "{name}"{_nearest(name)}  {_ALL}')
    return _built(known)


def _calibrated() -> Chip:
    """The machine at hand, as `anychip calibrate` left it."""
    path = this_machine.saved_path()
    if not path.exists():
        raise InvalidInput(f"{path}: this machine was never calibrated; run `anychip calibrate` first")
    return load(path)


def _carried_by(name: str) -> str | None:
    """The chip of an instance of the snapshot."""
    wanted = name.strip().casefold()
    for instance in snapshot().instances:
        if instance.name.casefold() == wanted:
            return instance.chip
    return None


@functools.cache
def _built(name: str) -> Chip:
    family = NAMES[name].family
    if family == "basecamp":
        from anychip.chips.basecamp import basecamp

        return basecamp()
    module = importlib.import_module(f"anychip.chips.catalogue.{family}")
    return module.CHIPS[name]()


def _nearest(name: str) -> str:
    """The one or two chips that were probably meant, as the middle of a message."""
    wanted = folded(name)
    starts = sorted((spelling for spelling in SPELLINGS if wanted and spelling.startswith(wanted)), key=len)
    close = difflib.get_close_matches(wanted, SPELLINGS, n=3, cutoff=0.6)
    if starts:
        likely = starts
    else:
        ratios = {spelling: difflib.SequenceMatcher(None, wanted, spelling).ratio() for spelling in close}
        likely = [spelling for spelling in close if ratios[spelling] > ratios[close[0]] - 0.05]
    meant = list(dict.fromkeys(SPELLINGS[spelling] for spelling in likely))[:2]
    return f"; did you mean {' or '.join(NAMES[each].label(each) for each in meant)}?" if meant else "."


def load(path: str | Path) -> Chip:
    """The chip that a Python file of the user's own describes; the file is run.

    It defines one `Chip`, or several of which one is called ``chip``.

    Raises:
        InvalidInput: the file cannot be read or run, or does not say which chip it means; the message
            begins with file and line.
    """
    path = Path(path)
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"{path}: {error.strerror or error}; give the path of a Python file that defines a Chip"
        ) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: not a text file; give a Python file that defines a Chip") from None
    variables = _run(path, source)
    chip = variables.get("chip")
    if isinstance(chip, Chip):
        return chip
    chips = {
        id(value): (name, value)
        for name, value in variables.items()
        if isinstance(value, Chip) and not name.startswith("_")
    }
    if len(chips) == 1:
        return next(iter(chips.values()))[1]
    if not chips:
        raise InvalidInput(f"{path}: defines no Chip; assign one to the variable `chip`")
    listed = ", ".join(name for name, _ in chips.values())
    raise InvalidInput(f"{path}: defines {len(chips)} chips ({listed}); assign the one you mean to `chip`")


def _run(path: Path, source: str) -> dict[str, object]:
    variables: dict[str, object] = {"__name__": "anychip_user_chip", "__file__": str(path)}
    sys.path.insert(0, str(path.resolve().parent))
    try:
        exec(compile(source, str(path), "exec"), variables)
    except SyntaxError as error:
        raise InvalidInput(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except AnychipError as error:
        raise InvalidInput(f"{path}:{_line_of(error, path)}: {error}") from error
    except Exception as error:
        raise InvalidInput(f"{path}:{_line_of(error, path)}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return variables


def _line_of(error: BaseException, path: Path) -> int:
    """The last line of the user's file that led to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)
