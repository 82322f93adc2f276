"""The compiled step as Python sees it: its structures, its functions, and a check that it computes what it should.

The names and the order of fields are those of `weights.hpp` and `step.cpp`.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FLOAT32, BFLOAT16, INT8, INT4 = range(4)


class Weight(Structure):
    """A weight (outputs, inputs); pointers as integers."""

    _fields_ = (
        ("data", c_void_p),
        ("scales", c_void_p),
        ("bias", c_void_p),
        ("kind", c_int32),
        ("outputs", c_int32),
        ("inputs", c_int32),
        ("group", c_int32),
    )


class Norm(Structure):
    """A layer norm."""

    _fields_ = (("weight", c_void_p), ("bias", c_void_p))


class Layer(Structure):
    """One block."""

    _fields_ = (
        ("norm_1", Norm),
        ("norm_2", Norm),
        ("attention_in", Weight),
        ("attention_out", Weight),
        ("mlp_in", Weight),
        ("mlp_out", Weight),
    )


class LowRank(Structure):
    """A low-rank product beside a weight."""

    _fields_ = (("down", c_void_p), ("up", c_void_p), ("rank", c_int32))


class Cache(Structure):
    """Keys and values."""

    _fields_ = (("keys", c_void_p), ("values", c_void_p), ("rows", c_int64), ("capacity", c_int64))


class Model(Structure):
    """A GPT-2."""

    _fields_ = (
        ("layers", POINTER(Layer)),
        ("scales", c_void_p),
        ("token_embedding", c_void_p),
        ("position_embedding", c_void_p),
        ("norm", Norm),
        ("epsilon", c_float),
        ("layer_count", c_int32),
        ("heads", c_int32),
        ("width", c_int32),
        ("inner", c_int32),
        ("half", c_int32),
    )


class Token(Structure):
    """A row of a step."""

    _fields_ = tuple(
        (name, c_int32) for name in ("token", "position", "trunk", "seen", "branch", "own", "adapter")
    )


class Library:
    """The functions of a compiled step.

    Attributes:
        most_rows: rows of one step.
        most_rank: columns of a low-rank product.
    """

    def __init__(self, path: Path) -> None:
        """Load the library at `path`.

        Raises:
            OSError: it cannot be loaded here.
            AttributeError: it is something else.
        """
        handle = ctypes.CDLL(str(path))

        def function(name: str, result: object, *arguments: object) -> Callable[..., Any]:
            found = getattr(handle, f"storyteller_{name}")
            found.restype, found.argtypes = result, arguments
            return found  # type: ignore[no-any-return] # ctypes' functions have no types

        self.engine_new = function("engine_new", c_void_p, c_int32)
        self.engine_free = function("engine_free", None, c_void_p)
        self.product = function("product", None, c_void_p, POINTER(Weight), c_void_p, c_int32, c_void_p)
        self.step = function(
            "step", None, c_void_p, POINTER(Model), POINTER(LowRank), POINTER(Cache), POINTER(Cache),
            POINTER(Token), c_int32, c_void_p,
        )  # fmt: skip
        self.peaks = function(
            "peaks",
            c_int32,
            c_void_p,
            c_int32,
            c_int32,
            c_int32,
            c_void_p,
            POINTER(c_float),
            POINTER(c_double),
        )
        self.most_rows: int = function("most_rows", c_int32)()
        self.most_rank: int = function("most_rank", c_int32)()
