"""`stemsteer catalogue --all`: every song is listened to by the worker that renders it."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from plugin_bridge.cli.hearing import all_heard, identity_of_hearing
from plugin_bridge.cli.sounds import SoundOptions
from plugin_bridge.cli.targets import TargetOptions

if TYPE_CHECKING:
    from plugin_bridge.automation import Automation
    from plugin_bridge.cli.render import RenderOptions
    from plugin_bridge.offline.render import RenderSettings
    from realtime import OnnxModel


@dataclasses.dataclass(frozen=True)
class HeardTargets:
    """The instruments that are heard in a song, by the model that `render --all` takes for them.

    Parameters
    ----------
    wanted : without files, which are those of the catalogue.
    identity : of what hears and of the models that there are, which every worker has to have.
    """

    wanted: TargetOptions
    sounds: SoundOptions
    options: RenderOptions
    identity: str

    @classmethod
    def of_options(
        cls, wanted: TargetOptions, sounds: SoundOptions, options: RenderOptions
    ) -> HeardTargets:
        """Return what options ask for.

        Raises BadParameter or ValueError for options that cannot be asked for of any song.
        """
        sounds.check_all()
        wanted.check(sounds)
        path = wanted.model_folder and Path(str(wanted.model)).absolute()
        model = str(path) if path else wanted.model
        bare = dataclasses.replace(wanted, automation=None, chain=None, model=model)
        return cls(bare, sounds, options, _identity(options.tier))

    @property
    def words(self) -> dict[str, Any]:
        """Return what decides what is taken of a song, beside the options, as JSON knows it."""
        return {
            "azimuths": self.wanted.azimuths,
            "width_deg": self.wanted.width_deg,
            "strength": self.sounds.strength,
            "hearing": self.identity,
            **({"model": self._model_sha256()} if self.wanted.model else {}),
        }

    def _model_sha256(self) -> str:
        from realtime.atomic import sha256_of
        from realtime.model import find_model

        return sha256_of(find_model(str(self.wanted.model), self.options.tier))

    def of(self, song: Path, lanes: Automation) -> tuple[OnnxModel, RenderSettings]:
        """Listen to a song; return the model and the settings of its render, without chains.

        Raises
        ------
        StemsteerError if no instrument is heard surely enough, what is heard cannot be taken, or
        other models are here than where the catalogue was begun.
        """
        from realtime.errors import StemsteerError

        if _identity(self.options.tier) != self.identity:
            raise StemsteerError(
                "other models are on this worker: install the same ones on all machines"
            )
        try:
            heard = all_heard(song, self.sounds, self.wanted.model, self.options.tier)
            return self.options.settings(self.wanted, heard, lanes)
        except typer.BadParameter as error:
            raise StemsteerError(error.message) from None


@lru_cache(maxsize=1)
def _identity(tier: str) -> str:
    return identity_of_hearing(tier)
