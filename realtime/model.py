"""Models: where their files are, and a file of ONNX in a session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import NO_CONDITIONS, Conditions, Outputs
from realtime.errors import StemsteerError
from realtime.folders import user_models_folder
from realtime.graph import problems_of
from realtime.onnx_file import metadata_text
from realtime.onnx_stream import OnnxStepper
from realtime.spec import METADATA_KEY, ModelSpec
from realtime.target_group import cannot_run

WEIGHTS = Path(__file__).resolve().parent.parent / "models_onnx" / "weights"
MODELS_VARIABLE = "STEMSTEER_MODELS"


class ModelStream(Protocol):
    """A model in the middle of a stream: it holds the states of `targets` targets."""

    def step(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        """Advance by the frames of `spectrum` (frames, 2, bins, 2).

        Returns ``masks`` (frames, targets, axes, bins) and what else the model gives. The arrays
        belong to the stepper and hold until its next step.
        """

    def reset(self) -> None:
        """Set every state to its start."""


class Model(Protocol):
    """A mixture and a condition to masks; see `ModelSpec` for the tensors."""

    @property
    def spec(self) -> ModelSpec: ...

    def stream(self, targets: int) -> ModelStream:
        """Begin a stream of `targets` targets, its states zeros.

        For models whose tiers have no `runs`. Raises ValueError for another number of targets than
        that of a model whose targets are fixed.
        """

    def run(
        self,
        spectrum: NDArray[np.float32],
        newest: int,
        conditions: Conditions = NO_CONDITIONS,
    ) -> NDArray[np.float32]:
        """Give the masks (newest, targets, axes, bins) of the newest frames of `spectrum`.

        For models whose tiers have `runs`; safe beside a stream in another thread.

        Parameters
        ----------
        conditions : (targets, size) of each of `ModelSpec.inputs`.
        """


def weights_folders() -> list[Path]:
    """Return where models are searched: in STEMSTEER_MODELS, at the user's, then as shipped."""
    extra = os.environ.get(MODELS_VARIABLE, "")
    return [*(Path(p) for p in extra.split(os.pathsep) if p), user_models_folder(), WEIGHTS]


def find_model(name: str, tier: str | None = None) -> Path:
    """Find the file of a model by name (``<name>-<tier>.onnx``, else ``<name>.onnx``) or path.

    The first folder of `weights_folders` that has the name counts, so a model of the user's takes
    the place of a shipped one in every tier. Offline, where time does not count, a studio file
    serves before one for all tiers.

    Raises StemsteerError if there is none.
    """
    if name.endswith(".onnx") or os.sep in name:
        if Path(name).is_file():
            return Path(name)
        raise StemsteerError(f"no model file at {name}: give a path to an .onnx file or a name")
    tiers = {None: [], "offline": ["offline", "studio"]}.get(tier, [tier])
    files = [*(f"{name}-{t}.onnx" for t in tiers), f"{name}.onnx"]
    for folder in weights_folders():
        for file in files:
            if (folder / file).is_file():
                return folder / file
    known = sorted({p.stem for f in weights_folders() for p in f.glob("*.onnx")})
    raise StemsteerError(
        f"no model {name!r}; there are: {', '.join(known) or 'none'}; "
        f"`stemsteer models add {name}` installs it, if it is one that can be had by name"
    )


def load_model(name: str | os.PathLike[str], tier: str | None = None) -> OnnxModel:
    """Load a model.

    Parameters
    ----------
    name : of an installed model, as ``"steer"``; `stemsteer models` lists them. Or the path of a
        file, as ``"mine/steer.onnx"``.
    tier : the one that `Separator` will be told, where a model has a file of its own for it, as
        ``"studio"`` and ``"offline"`` of ``steer``; None: the file that is for all tiers.

    Raises
    ------
    StemsteerError if there is no such model, or it cannot be used.
    """
    return OnnxModel(find_model(os.fspath(name), tier))


def open_session(path: Path) -> Any:
    """Open an ONNX file in a single-threaded session. Raises StemsteerError if it cannot be."""
    # Imported here, since everything that needs an exception of this package imports this file.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else an id is left in ~/.cache
    import onnxruntime as ort

    try:
        return ort.InferenceSession(str(path), _options(ort), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes of its own
        raise StemsteerError(f"{path} is not a model that can be loaded: {error}") from error


class OnnxModel:
    """A model file in a single-threaded session.

    Raises
    ------
    StemsteerError if the file is missing, corrupt, carries no valid spec, or its graph does not
    keep what the spec promises.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.spec = self._read_spec()
        self._session = open_session(self.path)
        self._inputs = {i.name: i for i in self._session.get_inputs()}
        outputs = {o.name: o for o in self._session.get_outputs()}
        if problems := problems_of(self.spec, self._inputs, outputs):
            raise StemsteerError(f"{self.path} does not keep its spec: it {'; '.join(problems)}")

    def stream(self, targets: int) -> OnnxStepper:
        """See `Model.stream`."""
        fixed = len(self.spec.targets)
        if fixed and targets != fixed:
            raise ValueError(f"model {self.spec.name!r} has {fixed} targets, not {targets}")
        return OnnxStepper(self._session, self.spec, targets)

    def run(
        self,
        spectrum: NDArray[np.float32],
        newest: int,
        conditions: Conditions = NO_CONDITIONS,
    ) -> NDArray[np.float32]:
        """See `Model.run`."""
        inputs = {"spectrum": spectrum}
        if "newest" in self._inputs:
            inputs["newest"] = np.array([newest], np.float32)
        values = {name: np.ascontiguousarray(conditions[name]) for name in self.spec.inputs}
        # Target by target: all at once would take as long, and memory for each of them.
        targets = range(max(map(len, values.values()), default=1))
        try:
            masks = [
                self._session.run(
                    ["masks"], inputs | {name: values[name][k : k + 1] for name in values}
                )[0][-newest:]
                for k in targets
            ]
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise cannot_run(self.spec, error) from error
        found: NDArray[np.float32] = np.concatenate(masks, axis=1)
        return found

    def _read_spec(self) -> ModelSpec:
        """Read and check the spec, before anything of the graph is loaded."""
        try:
            text = metadata_text(self.path, METADATA_KEY)
            if text is not None:
                return ModelSpec.from_json(text)
        except ValueError as error:
            raise StemsteerError(f"{self.path}: {error}") from error
        open_session(self.path)  # says it if the file is no model at all
        raise StemsteerError(
            f"{self.path} carries no Stemsteer spec: it is an ONNX file, but was "
            "not exported by Stemsteer; export it with `python -m models_onnx export`"
        )


def _options(ort: Any) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what fails is raised; its log shows names as they are
    options.enable_mem_pattern = False  # one for each number of frames: half as much memory again
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options
