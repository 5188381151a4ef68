"""A timbre: a unit vector that says what a sound is, in the space of the encoder that made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNIT_WITHIN = 1e-3
"""How far the length of a vector may be from 1; it is then made exactly 1."""
SAME = 0.99
"""Cosine from which on two timbres are taken for one."""


@dataclass(frozen=True, eq=False)
class Timbre:
    """One timbre.

    Parameters
    ----------
    vector : (size,) float32, of length 1.
    encoder : identity of the encoder; vectors of different encoders have nothing in common.
    spread : how far the examples lie apart, as 1 − the length of their mean, 0 … 1.
    sources : what it was made of, for people.

    Raises
    ------
    ValueError if the vector is not a row of finite numbers of length 1.
    """

    vector: NDArray[np.float32]
    encoder: str
    spread: float = 0.0
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        vector = np.asarray(self.vector, np.float32)
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if vector.ndim != 1 or not vector.size or not abs(length - 1) <= UNIT_WITHIN:
            raise ValueError(
                f"a timbre's vector of shape {vector.shape} and length {length:g}: expected a row "
                "of finite numbers of length 1"
            )
        unit = (vector / np.float32(length)).astype(np.float32)
        unit.flags.writeable = False
        object.__setattr__(self, "vector", unit)

    def likeness(self, other: Timbre) -> float:
        """Return the cosine of the angle to another timbre, −1 … 1.

        Raises ValueError if it is of another encoder.
        """
        _check_same_encoder([self, other])
        return float(np.clip(np.dot(self.vector, other.vector), -1, 1))


def mean(timbres: Sequence[Timbre], sources: Sequence[str] = ()) -> Timbre:
    """Return the timbre in the middle of several (Wang et al., ICASSP 2022: examples are averaged).

    Raises
    ------
    ValueError if there are none, they are of different encoders, or they cancel each other.
    """
    if not timbres:
        raise ValueError("no timbre to take the mean of: expected one or more")
    _check_same_encoder(timbres)
    middle = np.mean([t.vector.astype(np.float64) for t in timbres], axis=0)
    length = float(np.linalg.norm(middle))
    if length < 0.1:
        raise ValueError(
            f"the {len(timbres)} examples contradict each other: they have no timbre in common; "
            "give examples of one sound"
        )
    told = tuple(sources) or tuple(s for t in timbres for s in t.sources)
    unit = (middle / length).astype(np.float32)
    return Timbre(unit, timbres[0].encoder, max(0.0, 1 - length), told)


def check_apart(like: Timbre, unlike: Timbre) -> None:
    """Raise ValueError if what is wanted and what is not are one and the same timbre."""
    if like.encoder == unlike.encoder and like.likeness(unlike) > SAME:
        raise ValueError(
            f"what is wanted ({', '.join(like.sources)}) and what is not "
            f"({', '.join(unlike.sources)}) sound the same: give another example of one of them"
        )


def _check_same_encoder(timbres: Sequence[Timbre]) -> None:
    encoders = sorted({t.encoder for t in timbres})
    sizes = sorted({t.vector.size for t in timbres})
    if len(encoders) > 1 or len(sizes) > 1:
        raise ValueError(
            f"timbres of the encoders {', '.join(encoders)} (sizes {sizes}) cannot be compared: "
            "make them anew with one of these"
        )
