"""Where an operator came from: the user's module, source line, and part of the training step.

Modules announce themselves: `torch.nn.Module.__call__` is replaced by one that keeps a stack per thread.
A source line is the innermost frame outside Python's and installed packages; the walk over frames ends at the
nearest module call, which remembers the line it was called from, so its length does not grow with the depth
of a model. Autograd's nodes carry the sequence number of the forward operator that made them; by it,
backward operators get that operator's place.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import threading
from collections.abc import Callable
from dataclasses import replace
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any
from weakref import ref

import torch

from anychip.frontends.torch.native import SEAM, connect
from anychip.programs.graph import Kind, Phase, Place, Region

_current_node: Callable[[], Any] = torch._C._current_autograd_node  # pyright: ignore
_sequence_number = torch._C._autograd._get_sequence_nr  # pyright: ignore
_frame = sys._getframe  # pyright: ignore[reportPrivateUsage]

#: Every place ever seen; places are passed about as indices into it.
PLACES: list[Place] = [Place()]
_place_numbers: dict[tuple[Any, ...], int] = {}
_lock = threading.Lock()
_KIND_OF_PHASE: dict[Phase, Kind] = {
    "forward": "activation",
    "backward": "gradient",
    "optimizer": "optimizer",
    "other": "other",
}
#: The kind of memory that an operator at a place allocates, by the place's number.
KINDS: list[Kind] = ["activation"]

_LIBRARY, USER, _MODULE_CALL = 0, 1, 2
#: Code object by identity; the object is kept so that its identity is not used again.
_code_classes: dict[int, tuple[int, CodeType]] = {}
_REMEMBERED_SEQUENCE_NUMBERS = 1 << 20


def _library_folders() -> tuple[str, ...]:
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages())
    folders.add(site.getusersitepackages())
    folders.add(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    folders.add(os.path.dirname(os.path.dirname(torch.__file__)))
    return tuple(os.path.join(os.path.realpath(folder), "") for folder in folders if folder)


_LIBRARIES = _library_folders()
#: Source paths are shown relative to this folder where they lie below it.
_source_root = ""


def set_source_root(folder: str) -> None:
    """The folder of the user's script: sources below it are named relative to it."""
    global _source_root
    _source_root = os.path.join(os.path.realpath(folder), "") if folder else ""


class ThreadState(threading.local):
    """What a thread is in the middle of."""

    def __init__(self) -> None:
        self.modules: list[tuple[str, CodeType | None, int]] = []
        self.root_names: dict[int, str] = {}
        self.optimizer_depth = 0
        self.optimizer_line: tuple[CodeType | None, int] | None = None
        self.region: Region | None = None
        self.by_sequence: dict[int, int] = {}
        _all_sequences.append(self.by_sequence)
        self.node: Any = None
        self.node_place = 0


_all_sequences: list[dict[int, int]] = []
STATE = ThreadState()


def classify(code: CodeType) -> int:
    """Whether a frame's code is the user's, a library's, or a module call's."""
    filename = code.co_filename
    path = os.path.realpath(filename) if os.path.isabs(filename) else filename
    if (filename.startswith("<") and not filename.startswith(("<stdin>", "<ipython"))) or path.startswith(
        _LIBRARIES
    ):
        kind = _LIBRARY
    else:
        kind = USER
    _code_classes[id(code)] = (kind, code)
    return kind


def source_text(code: CodeType | None, line: int) -> str:
    """``"train.py:88"``, relative to the script's folder."""
    if code is None:
        return ""
    path = os.path.realpath(code.co_filename) if not code.co_filename.startswith("<") else code.co_filename
    if _source_root and path.startswith(_source_root):
        return f"{path[len(_source_root) :]}:{line}"
    return f"{os.path.basename(path)}:{line}"


def user_line(frame: FrameType | None) -> tuple[CodeType | None, int]:
    """The nearest line of the user's at or above `frame`."""
    classes = _code_classes
    while frame is not None:
        code = frame.f_code
        known = classes.get(id(code))
        kind = known[0] if known is not None else classify(code)
        if kind:
            if kind == USER:
                return code, frame.f_lineno
            modules = STATE.modules
            return (modules[-1][1], modules[-1][2]) if modules else (None, 0)
        frame = frame.f_back
    return None, 0


def place_number(module: str, code: CodeType | None, line: int, phase: Phase, region: Region | None) -> int:
    """The number of a place, the same for equal places."""
    if code is not None:
        _code_classes.setdefault(id(code), (USER, code))
    key = (module, id(code), line, phase, region)
    return _numbered(key, Place(module, source_text(code, line), phase, region))


def _numbered(key: tuple[Any, ...], place: Place) -> int:
    with _lock:
        number = _place_numbers.get(key)
        if number is None:
            number = len(PLACES)
            PLACES.append(place)
            KINDS.append(_KIND_OF_PHASE[place.phase])
            _place_numbers[key] = number
        return number


def current_place() -> int:
    """The place of the operator being dispatched."""
    state = STATE
    node = _current_node()
    modules = state.modules
    if node is not None and not modules:
        if node is state.node:
            return state.node_place
        state.node = node
        place = state.node_place = _backward_place(node)
        return place
    phase: Phase = "forward"
    if node is not None:
        phase = "backward"
        code, line = user_line(_frame(1))
    elif state.optimizer_depth:
        phase = "optimizer"
        code, line = state.optimizer_line or user_line(_frame(1))
    else:
        code, line = user_line(_frame(1))
    module = modules[-1][0] if modules else ""
    key = (module, id(code), line, phase, state.region)
    place = _place_numbers.get(key)
    if place is None:
        place = place_number(module, code, line, phase, state.region)
    state.by_sequence.setdefault(_sequence_number(), place)
    return place


def _backward_place(node: Any) -> int:
    """The place of the forward operator that a backward node belongs to, in phase backward."""
    sequence = node._sequence_nr() + 1
    forward = 0
    for places in _all_sequences:
        if sequence in places:
            forward = places[sequence]
            break
    number = _place_numbers.get(("backward of", forward))
    return _number_backward(forward) if number is None else number


def _number_backward(forward: int) -> int:
    """A new number for the backward pass of the operators at a place."""
    place = PLACES[forward]
    return _numbered(("backward of", forward), Place(place.module, place.source, "backward", place.region))


def in_replay(place: int, region: Region) -> int:
    """The number of a place inside a region that is replayed there."""
    return _numbered(("replayed", place, region), replace(PLACES[place], region=region))


def forget_old_sequences() -> None:
    """Drops the oldest half of the forward places where very many are remembered."""
    for places in _all_sequences:
        if len(places) > _REMEMBERED_SEQUENCE_NUMBERS:
            for key in list(places)[: len(places) // 2]:
                places.pop(key, None)


connect(
    STATE=STATE,
    KINDS=KINDS,
    place_numbers=_place_numbers,
    place_number=place_number,
    number_backward=_number_backward,
    all_sequences=_all_sequences,
    classify=classify,
    code_classes=_code_classes,
    current_node=_current_node,
    sequence_number=_sequence_number,
)
if not TYPE_CHECKING and SEAM is not None:
    current_place, user_line = SEAM.current_place, SEAM.user_line


# --- modules ----------------------------------------------------------------------------------------------

#: id(module) -> (the module, its names below it): the names of all modules below a root.
_names_below: dict[int, tuple[Any, dict[int, str]]] = {}
_original_call: Callable[..., Any] = torch.nn.Module.__call__


class ModuleWatch:
    """Keeps the stack of module calls.

    Args:
        on_root: called with a root module when it is called for the first time.
        on_return: called with (module, args, kwargs) when a top-level module returns.
        on_call: called with a top-level module before each of its calls.
    """

    def __init__(
        self,
        on_root: Callable[[Any, str], None],
        on_return: Callable[[Any, Any, Any], None],
        on_call: Callable[[Any], None],
    ) -> None:
        self.on_root = on_root
        self.on_return = on_return
        self.on_call = on_call

    def start(self) -> None:
        """From now on calls of modules are seen."""
        watch = self

        def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
            state = STATE
            modules = state.modules
            if modules:
                name = state.root_names.get(id(self))
                if name is None:
                    name = watch._unnamed(self, modules[-1][0])
            else:
                name = watch._enter_root(self, _frame(1))
            modules.append((name, *user_line(_frame(1))))
            try:
                result = _original_call(self, *args, **kwargs)
            finally:
                modules.pop()
            if not modules:
                watch.on_return(self, args, kwargs)
            return result

        _code_classes[id(__call__.__code__)] = (_MODULE_CALL, __call__.__code__)
        torch.nn.Module.__call__ = __call__  # pyright: ignore

    def stop(self) -> None:
        """Calls of modules are no longer seen."""
        torch.nn.Module.__call__ = _original_call

    def _enter_root(self, module: Any, frame: FrameType | None) -> str:
        known = _names_below.get(id(module))
        if known is not None and known[0]() is module:
            names = known[1]
        else:
            root = _variable_name(module, frame) or type(module).__name__
            names = {}
            for path, below in module.named_modules():
                path = path.replace("_orig_mod.", "").removesuffix("_orig_mod").rstrip(".")
                names[id(below)] = f"{root}.{path}" if path else root
            _names_below[id(module)] = (ref(module, _forgetter(id(module))), names)
            self.on_root(module, root)
        self.on_call(module)
        STATE.root_names = names
        return names[id(module)]

    def _unnamed(self, module: Any, parent: str) -> str:
        """A module that is called inside another but not registered below the root."""
        return f"{parent}.{type(module).__name__}"


def _forgetter(identity: int) -> Callable[[Any], None]:
    """Called when a module dies: its identity may be used again."""

    def forget(_: Any) -> None:
        _names_below.pop(identity, None)

    return forget


def _variable_name(module: Any, frame: FrameType | None) -> str:
    """What the user calls a module: the innermost variable of their code that holds it, or ``self.name``."""
    while frame is not None:
        known = _code_classes.get(id(frame.f_code))
        kind = known[0] if known is not None else classify(frame.f_code)
        if kind == USER:
            scopes = (frame.f_locals, frame.f_globals)
            for scope in scopes:
                for name, value in list(scope.items()):
                    if value is module and not name.startswith("_") and name != "self":
                        return name
            owner = frame.f_locals.get("self")
            for name, value in getattr(owner, "__dict__", {}).items():
                if value is module:
                    return name
        frame = frame.f_back
    return ""
