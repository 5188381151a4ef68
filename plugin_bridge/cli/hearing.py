"""The instruments that are heard in a file: for `scan`, and for `render --all`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from plugin_bridge.cli.sounds import SoundOptions
    from plugin_bridge.timbre.heard import Heard

BLOCK_S = 4.0


def heard_in(path: Path) -> list[Heard]:
    """Return the instruments that are heard in a file, the surest first."""
    from plugin_bridge.files.audio_reader import AudioReader
    from plugin_bridge.timbre.heard import instruments_heard, load_classifier
    from realtime.encoder import load_encoder

    encoder = load_encoder()
    classifier = load_classifier(encoder.spec)
    with AudioReader(path) as source:
        rate_hz = source.sample_rate
        blocks = source.blocks(round(BLOCK_S * rate_hz))
        duration_s = source.n_samples / rate_hz
        return instruments_heard(blocks, duration_s, rate_hz, encoder, classifier)


def can_hear() -> bool:
    """Return whether an encoder and its classifier of instruments are here."""
    from plugin_bridge.timbre.heard import load_classifier
    from realtime.encoder import load_encoder
    from realtime.errors import StemsteerError

    try:
        load_classifier(load_encoder().spec)
    except StemsteerError:
        return False
    return True


def identity_of_hearing(tier: str) -> str:
    """Return a hash of what hears, and of the models that know instruments in a tier."""
    from plugin_bridge.control.target_conditions import known_instruments
    from plugin_bridge.model_library import installed_specs
    from plugin_bridge.timbre.heard import load_classifier
    from realtime.atomic import sha256_of
    from realtime.encoder import load_encoder

    classifier = load_classifier(load_encoder().spec)
    able = [
        sha256_of(path)
        for path, spec in installed_specs()
        if tier in spec.tiers and known_instruments(spec)
    ]
    parts = [classifier.encoder, *classifier.instruments, *sorted(able)]
    digest = hashlib.sha256("\n".join(parts).encode())
    digest.update(classifier.weights.tobytes())
    return digest.hexdigest()[:16]


def all_heard(
    path: Path,
    sounds: SoundOptions,
    model: str | None = None,
    tier: str = "offline",
    *,
    tell: Callable[[str], None] = lambda words: None,
) -> SoundOptions:
    """Return the options that ask for every instrument heard in a file, one file each.

    Parameters
    ----------
    model, tier : that is named, and has to know them.
    tell : told in a sentence which it does not know, so that they are left out.

    Raises
    ------
    BadParameter if none is heard surely enough, or sounds are named as well;
    StemsteerError if the model cannot be used.
    """
    sounds.check_all()
    names = [heard.instrument for heard in heard_in(path)]
    if model is not None:
        from plugin_bridge.model_choice import told_instruments

        known = told_instruments(model, tier)
        if unknown := [name for name in names if name not in known]:
            tell(f"model {model!r} does not know {', '.join(unknown)}, which stay in the residual")
        names = [name for name in names if name in known]
    if not names:
        which = f"no instrument that model {model!r} knows" if model else "no instrument"
        raise typer.BadParameter(
            f"{which} is heard in {path} surely enough: name one with --instrument",
            param_hint="'--all'",
        )
    return dataclasses.replace(sounds, words=names, all_sources=False)
