"""Run an ONNX model frame by frame: one session, bound buffers, states by name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.conditions import NO_CONDITIONS, WIDTH_DEG, Conditions
from realtime.errors import StemsteerError
from realtime.folders import user_models_folder
from realtime.graph import problems_of
from realtime.onnx_file import metadata_text
from realtime.spec import MASK_AXES, METADATA_KEY, ModelSpec

Outputs = Mapping[str, NDArray[np.float32]]
WEIGHTS = Path(__file__).resolve().parent.parent / "models_onnx" / "weights"
MODELS_VARIABLE = "STEMSTEER_MODELS"
FREE_WHERE_ZERO = ("timbre", "against")
"""Conditions that say nothing where they are zeros, and may be left out."""
_KEPT_SIZES = 4  # frame counts whose buffers are kept


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
        """Begin a stream of `targets` targets."""

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
    """Folders searched for models: those in STEMSTEER_MODELS, the user's, then the shipped one."""
    extra = os.environ.get(MODELS_VARIABLE, "")
    return [*(Path(p) for p in extra.split(os.pathsep) if p), user_models_folder(), WEIGHTS]


def find_model(name: str, tier: str | None = None) -> Path:
    """Find the file of a model by name (``<name>-<tier>.onnx``, else ``<name>.onnx``) or path.

    Offline, where time does not count, a studio file serves before one for all tiers.

    Raises StemsteerError if there is none.
    """
    if name.endswith(".onnx") or os.sep in name:
        if Path(name).is_file():
            return Path(name)
        raise StemsteerError(f"no model file at {name}: give a path to an .onnx file or a name")
    tiers = {None: [], "offline": ["offline", "studio"]}.get(tier, [tier])
    for file in [*(f"{name}-{t}.onnx" for t in tiers), f"{name}.onnx"]:
        for folder in weights_folders():
            if (folder / file).is_file():
                return folder / file
    known = sorted({p.stem for f in weights_folders() for p in f.glob("*.onnx")})
    raise StemsteerError(
        f"no model {name!r}; there are: {', '.join(known) or 'none'}; "
        f"`stemsteer models add {name}` installs it, if it is one that can be had by name"
    )


def load_model(name: str | os.PathLike[str], tier: str | None = None) -> OnnxModel:
    """Load a model by name or path. Raises StemsteerError if it cannot be used."""
    return OnnxModel(find_model(os.fspath(name), tier))


def open_session(path: Path, *, threads: int = 1) -> Any:
    """Open an ONNX file in a session of ONNX Runtime. Raises StemsteerError if it cannot be."""
    # Imported here, since everything that needs an exception of this package imports this file.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else an id is left in ~/.cache
    import onnxruntime as ort

    try:
        return ort.InferenceSession(
            str(path), _options(ort, threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises a dozen classes of its own
        raise StemsteerError(f"{path} is not a model that can be loaded: {error}") from error


class OnnxModel:
    """A model file in a single-threaded session.

    Raises
    ------
    StemsteerError if the file is missing, corrupt, carries no valid spec, or its graph does not
    keep what the spec promises.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int = 1) -> None:
        self.path = Path(path)
        self.spec = self._read_spec()
        self._session = open_session(self.path, threads=threads)
        self._inputs = {i.name: i for i in self._session.get_inputs()}
        outputs = {o.name: o for o in self._session.get_outputs()}
        if problems := problems_of(self.spec, self._inputs, outputs):
            raise StemsteerError(f"{self.path} does not keep its spec: it {'; '.join(problems)}")

    def stream(self, targets: int) -> OnnxStepper:
        """Begin a stream of `targets` targets."""
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
        told = {name: np.ascontiguousarray(conditions[name]) for name in self.spec.inputs}
        # Target by target: all at once would take as long, and memory for each of them.
        targets = range(max(map(len, told.values()), default=1))
        try:
            masks = [
                self._session.run(
                    ["masks"], inputs | {name: told[name][k : k + 1] for name in told}
                )[0][-newest:]
                for k in targets
            ]
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise _cannot_run(self.spec, error) from error
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
        open_session(self.path, threads=1)  # says it if the file is no model at all
        raise StemsteerError(
            f"{self.path} carries no Stemsteer spec: it is an ONNX file, but was "
            "not exported by Stemsteer; export it with `python -m models_onnx export`"
        )


class OnnxStepper:
    """The states of one stream, and buffers that the session reads and writes in place.

    States are double-buffered: each step reads one set and writes the other.
    """

    def __init__(self, session: Any, spec: ModelSpec, targets: int) -> None:
        self._session, self._spec, self._targets = session, spec, targets
        self._states = [
            {
                i.name.removeprefix("state_"): np.zeros(_with_targets(i.shape, targets), np.float32)
                for i in session.get_inputs()
                if i.name.startswith("state_")
            }
            for _ in range(2)
        ]
        self._buffers: dict[tuple[int, int], _Buffers] = {}
        self._turn = 0

    def step(self, spectrum: NDArray[np.float32], conditions: Conditions) -> Outputs:
        """See `ModelStream.step`."""
        frames, _, bins, _ = spectrum.shape
        cuts = _changes(conditions) if frames > 1 else []
        if cuts:
            return self._in_parts(spectrum, conditions, cuts)
        buffers = self._buffers.get((frames, bins)) or self._bind(frames, bins)
        buffers.inputs["spectrum"][:] = spectrum
        for name in self._spec.conditions:
            free = name in FREE_WHERE_ZERO and name not in conditions
            buffers.inputs[name][:] = 0 if free else conditions[name]
        try:
            self._session.run_with_iobinding(buffers.bindings[self._turn])
        except Exception as error:  # onnxruntime raises a dozen classes of its own
            raise _cannot_run(self._spec, error) from error
        self._turn ^= 1
        return buffers.outputs

    def _in_parts(
        self, spectrum: NDArray[np.float32], conditions: Conditions, cuts: list[int]
    ) -> Outputs:
        """Step from cut to cut, so that how frames come in calls changes nothing."""
        edges = [0, *cuts, spectrum.shape[0]]
        parts: list[Outputs] = []
        for first, last in itertools.pairwise(edges):
            told = {name: value[first:last] for name, value in conditions.items()}
            found = self.step(spectrum[first:last], told)
            parts.append({name: array.copy() for name, array in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def reset(self) -> None:
        """Set every state to zero."""
        for states in self._states:
            for state in states.values():
                state[:] = 0
        self._turn = 0

    def _bind(self, frames: int, bins: int) -> _Buffers:
        while len(self._buffers) >= _KEPT_SIZES:
            self._buffers.pop(next(iter(self._buffers)))
        spec, targets = self._spec, self._targets
        inputs = {"spectrum": np.zeros((frames, 2, bins, 2), np.float32)}
        for name, size in spec.conditions.items():
            inputs[name] = np.zeros((frames, targets, size), np.float32)
        outputs = {
            "masks": np.zeros((frames, targets, MASK_AXES[spec.mask_axes], bins), np.float32)
        }
        if any(o.name == "activity" for o in self._session.get_outputs()):
            outputs["activity"] = np.zeros((frames, targets), np.float32)
        buffers = _Buffers(inputs, outputs)
        for turn in range(2):
            binding = self._session.io_binding()
            old, new = self._states[turn], self._states[turn ^ 1]
            for name, array in [*inputs.items(), *((f"state_{n}", a) for n, a in old.items())]:
                binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            for name, array in [*outputs.items(), *((f"next_{n}", a) for n, a in new.items())]:
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            buffers.bindings.append(binding)
        self._buffers[frames, bins] = buffers
        return buffers


def _changes(conditions: Conditions) -> list[int]:
    """Frames at which a timbre begins or ends, or a direction beside it.

    A graph may answer calls without any timbre, and calls with timbres alone, in ways of their own.
    """
    told = {n: np.any(conditions[n], axis=(1, 2)) for n in FREE_WHERE_ZERO if n in conditions}
    if not told:
        return []
    kinds = np.logical_or.reduce(list(told.values())).astype(np.int8)
    if "direction" in conditions:
        anywhere = (conditions["direction"][..., 1] >= WIDTH_DEG[1]).all(1)
        kinds += told.get("timbre", False) & anywhere & ~told.get("against", np.False_)
    return [int(k) + 1 for k in np.flatnonzero(kinds[1:] != kinds[:-1])]


class _Buffers:
    def __init__(
        self, inputs: dict[str, NDArray[np.float32]], outputs: dict[str, NDArray[np.float32]]
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.bindings: list[Any] = []


def _options(ort: Any, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # one for each number of frames: half as much memory again
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return options


def _with_targets(shape: list[int | str], targets: int) -> tuple[int, ...]:
    return tuple(targets if isinstance(size, str) else size for size in shape)


def _cannot_run(spec: ModelSpec, error: Exception) -> StemsteerError:
    reason = str(error).partition("\n")[0][:300]
    return StemsteerError(
        f"the model {spec.name!r} cannot be run: {reason}; its graph does not keep its spec: "
        "export it again, or take another with --model"
    )
