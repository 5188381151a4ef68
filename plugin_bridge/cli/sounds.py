"""What sounds `render` and `live` are to take: options of instruments, examples, pictures."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import say
from plugin_bridge.control.controls import BY_NAME, INSTRUMENTS
from plugin_bridge.control.instruments import Meaning, resolve

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.control.target import Target, TimbrePair
    from realtime import ModelSpec, OnnxModel

STRENGTH, MORPH = BY_NAME["strength"], BY_NAME["timbre_morph"]
_DEG = re.compile(r"[+-]?\d+(\.\d+)?°?")
_NAMED = re.compile(r"(?P<name>\w[\w .+()-]*)=(?P<rest>.+)")


@dataclass(frozen=True)
class Sound:
    """What one target is, in the user's words."""

    meanings: tuple[Meaning, ...] = ()
    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()

    @property
    def instruments(self) -> tuple[str, ...]:
        """Return the names of its instruments in the table of controls, each once."""
        return tuple(dict.fromkeys(name for meaning in self.meanings for name in meaning.classes))


@dataclasses.dataclass(frozen=True)
class SoundOptions:
    """What the sounds are: by name, by examples, or everything that a model knows."""

    words: Annotated[
        list[str] | None,
        typer.Option(
            "--instrument",
            metavar="[NAME=]WORD",
            help="What the sound is: vocals, drums, sax, instrumental ...; again for several, or "
            "under one NAME for all of them as one sound. It may be anywhere unless there is a "
            "direction, too.",
        ),
    ] = None
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE[@START-END]",
            help="An example of the sound, seconds of a file or a name of `stemsteer timbres`; "
            "again for more examples of it.",
        ),
    ] = None
    unlike: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE[@START-END]", help="An example of what it is not."),
    ] = None
    pictures: Annotated[
        list[str] | None,
        typer.Option(
            "--picture",
            metavar="[NAME=]FILE",
            help="A picture of the instrument or its player; again for more, under one NAME for "
            "all of them as one sound.",
        ),
    ] = None
    strength: Annotated[
        float | None,
        typer.Option(help=f"0 takes everything, 1 the instrument alone, {STRENGTH.range}.  [1]"),
    ] = None
    morph: Annotated[
        float | None,
        typer.Option(help=f"From the instrument to the example, {MORPH.range}.  [1]"),
    ] = None
    all_sources: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every instrument that is heard, and that a --model knows, one file each; of a "
            "--model with sources of its own, these.",
        ),
    ] = False

    def check_all(self) -> None:
        """Raise BadParameter for sounds that are named beside --all."""
        if self.sounds():
            raise typer.BadParameter(
                "every instrument is taken: leave --instrument, --like and --picture out",
                param_hint="'--all'",
            )

    def sounds(self) -> dict[str, Sound]:
        """Return what is asked for by name of the target, "" for examples without a name.

        Raises
        ------
        BadParameter for a word without a name that is there twice, for counter-examples alone, or
        for a strength or a morph without what they belong to;
        StemsteerError for a picture that cannot be read, or shows no instrument.
        """
        found: dict[str, Sound] = {}
        for name, word in _named(self.words):
            meaning = _meaning(word)
            target = name or word.strip()
            if target in found and not name:
                named = shlex.quote(f"lead={word}")
                raise typer.BadParameter(
                    f"{target!r} is asked for twice: give each its name, as {named}",
                    param_hint="'--instrument'",
                )
            found[target] = Sound((*found.get(target, Sound()).meanings, meaning))
        for name, file in _named(self.pictures):
            meaning = _shown(file)
            target = name or meaning.classes[0]
            found[target] = Sound((*found.get(target, Sound()).meanings, meaning))
        alone = next(iter(found)) if len(found) == 1 else ""
        for name, example in _named(self.like):
            old = found.get(name or alone, Sound())
            found[name or alone] = dataclasses.replace(old, like=(*old.like, example))
        for name, example in _named(self.unlike):
            old = found.get(name or alone, Sound())
            if not (old.meanings or old.like):
                raise typer.BadParameter(
                    f"{example} is an example of what is not wanted, and there is none of what is: "
                    "give --like or --instrument too",
                    param_hint="'--unlike'",
                )
            found[name or alone] = dataclasses.replace(old, unlike=(*old.unlike, example))
        self._check_numbers(found.values())
        return found

    def _check_numbers(self, sounds: Collection[Sound]) -> None:
        """Raise BadParameter for a strength or a morph of sounds that have nothing to scale."""
        if self.strength is not None and not sounds and not self.all_sources:
            raise typer.BadParameter(
                "it says how much an instrument or an example counts: give --instrument or --like "
                "too",
                param_hint="'--strength'",
            )
        if self.morph is not None and not any(sound.meanings and sound.like for sound in sounds):
            raise typer.BadParameter(
                "it leads from an instrument to an example of the same sound: give --instrument "
                "and --like",
                param_hint="'--morph'",
            )

    def needed(self, lanes: Automation) -> tuple[list[Meaning], list[str], bool]:
        """Return what a model has to know, as it was said, and the instruments of lanes.

        And whether it has to take timbres. A number that names no instrument asks for none.
        """
        sounds = self.sounds().values()
        meanings = [meaning for sound in sounds for meaning in sound.meanings]
        numbers = {
            int(point.value)
            for (_, control), lane in lanes.lanes.items()
            if control == "instrument"
            for point in lane.points
        }
        names = [INSTRUMENTS[k] for k in range(1, len(INSTRUMENTS)) if k in numbers]
        timbre = any(sound.like or sound.unlike for sound in sounds)
        return meanings, names, timbre

    @property
    def removed(self) -> bool:
        """Return whether everything but the sound is asked for, as *instrumental* does.

        Raises BadParameter if that is asked for beside other sounds.
        """
        meanings = [m for sound in self.sounds().values() for m in sound.meanings]
        if len(meanings) > 1 and (without := [m.classes[0] for m in meanings if m.removed]):
            raise typer.BadParameter(
                "a word for all but an instrument, as instrumental, stands alone; --instrument "
                f"{without[0]} writes both, the residual is the song without {without[0]}",
                param_hint="'--instrument'",
            )
        return bool(meanings) and meanings[0].removed

    def notes(self) -> list[str]:
        """Return what a user should be told about the words."""
        return [m.note for sound in self.sounds().values() for m in sound.meanings if m.note]

    def given_to(self, target: Target, sound: Sound, *, anywhere: bool) -> Target:
        """Return a target with what it is; `anywhere`: nobody said where it is."""
        from plugin_bridge.control.target import ANYWHERE

        azimuth_deg, width_deg = ANYWHERE if anywhere else (target.azimuth_deg, target.width_deg)
        return dataclasses.replace(
            target,
            azimuth_deg=azimuth_deg,
            width_deg=width_deg,
            instruments=sound.instruments,
            strength=1.0 if self.strength is None else self.strength,
            morph=1.0 if self.morph is None else self.morph,
            like=sound.like,
            unlike=sound.unlike,
        )


@dataclasses.dataclass(frozen=True)
class PlayedSoundOptions(SoundOptions):
    """What the sounds are where they are played at once, so that nothing is heard of them before.

    The same options, but for what --all finds.
    """

    all_sources: Annotated[
        bool,
        typer.Option("--all", help="Every source of a --model that has sources of its own."),
    ] = False


def known_to(sounds: Mapping[str, Sound], spec: ModelSpec) -> dict[str, Sound]:
    """Return sounds as a model knows them; say on stderr what of a family it does not know.

    Raises BadParameter for a word that is no instrument and no source of the model.
    """
    return {
        name: dataclasses.replace(
            sound, meanings=tuple(_known(meaning, spec) for meaning in sound.meanings)
        )
        for name, sound in sounds.items()
    }


def _known(meaning: Meaning, spec: ModelSpec) -> Meaning:
    from plugin_bridge.control.target_conditions import known_instruments, own_names

    own = own_names(spec)
    if meaning.word in own:
        return Meaning((meaning.word,), word=meaning.word)
    check_word(meaning, own)
    known = tuple(name for name in meaning.classes if name in known_instruments(spec))
    if not meaning.word or known in ((), meaning.classes):
        return meaning
    missing = ", ".join(name for name in meaning.classes if name not in known)
    say(
        f"stemsteer: of {meaning.word!r} model {spec.name!r} does not know {missing}: "
        f"{', '.join(known)} {'is' if len(known) == 1 else 'are'} taken",
        err=True,
    )
    return dataclasses.replace(meaning, classes=known)


def check_word(meaning: Meaning, own: Sequence[str] = ()) -> None:
    """Raise BadParameter for a word that is no instrument of the table.

    `own`: sources that the model has besides, which are named with it.
    """
    if meaning.fault:
        more = f"; the model has {', '.join(own)}, too" if own else ""
        raise typer.BadParameter(meaning.fault + more, param_hint="'--instrument'")


def timbres_of(targets: Sequence[Target], model: OnnxModel) -> dict[str, TimbrePair]:
    """Return the timbres of the examples of targets by name, made by the model's encoder.

    That may lie in `encoders` beside the model.

    Raises
    ------
    StemsteerError if an example cannot be used, or the encoder is not here.
    """
    asking = [target for target in targets if target.by_timbre]
    if not asking:
        return {}
    from plugin_bridge.control.target import TimbrePair
    from plugin_bridge.timbre import TimbreLibrary
    from plugin_bridge.timbre.query import timbre_of
    from plugin_bridge.timbre.vector import check_apart
    from realtime.encoder import encoder_of

    encoder = encoder_of(model.spec.encoder, model.path.parent)
    library = TimbreLibrary()
    pairs = {}
    for target in asking:
        like, unlike = (
            timbre_of(examples, encoder, library) if examples else None
            for examples in (target.like, target.unlike)
        )
        if like and unlike:
            check_apart(like, unlike)
        pairs[target.name] = TimbrePair(*(one.vector if one else None for one in (like, unlike)))
    return pairs


def _named(options: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Yield name and rest of options [NAME=]REST; a file with such a name is a file."""
    for option in options or ():
        found = _NAMED.fullmatch(option)
        if found is None or Path(option).exists():
            yield "", option
        else:
            yield found["name"], found["rest"]


def _shown(file: str) -> Meaning:
    """Return the instruments that a picture shows."""
    from plugin_bridge.picture.recognise import recognise

    seen = recognise(Path(file))
    return Meaning(seen.instruments, note=f"{file} {seen.note}")


def _meaning(word: str) -> Meaning:
    """Return what a word means; one of no table may be a source that the model has."""
    word = word.strip()
    try:
        return dataclasses.replace(resolve(word), word=word)
    except ValueError as error:
        placed = f"{word} is a direction: give it by --azimuth" if _DEG.fullmatch(word) else ""
        return Meaning((word,), word=word, fault=placed or str(error))
