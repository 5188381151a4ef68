"""The command line of the networks: ``python -m models_onnx VERB``, where each verb has --help."""

from __future__ import annotations

import importlib
import sys

from models_onnx import commands

VERBS = {
    "render": (
        "models_onnx.data.rendering.commands",
        "render",
        "compose and render songs for training",
    ),
    "gather": (
        "models_onnx.data.sounds.commands",
        "gather",
        "bring drum kits and notes of others into a folder of recordings",
    ),
    "teach": (
        "models_onnx.data.teaching.commands",
        "main",
        "take voices out of finished mixes for training",
    ),
    "demo-song": ("models_onnx.data.rendering.commands", "demo_song", "render the bundled song"),
    "train": ("models_onnx.training.train_steer", "main", "train steer"),
    "train-timbre": ("models_onnx.training.train_timbre", "main", "train steer by timbre"),
    "fit-heard": (
        "models_onnx.training.fit_heard",
        "main",
        "fit the classifier of the instruments that scan hears",
    ),
    "train-spain": ("models_onnx.training.train_spain", "main", "train spain-xumx"),
    "train-unet": ("models_onnx.training.train_unet", "main", "train U-Nets of the literature"),
    "average": ("models_onnx.training.average", "main", "take the mean of the weights of two runs"),
    "widen": ("models_onnx.training.widen", "main", "give weights a longer window"),
    "export": ("models_onnx.export.command", "main", "write the ONNX file of a checkpoint"),
    "gains": ("models_onnx.export.gains", "main", "write into a model file how well it does"),
    "evaluate": ("models_onnx.evaluation.evaluate", "main", "measure models on songs with stems"),
    "evaluate-timbre": (
        "models_onnx.evaluation.by_timbre",
        "main",
        "measure separation by name and example",
    ),
    "peers": ("models_onnx.evaluation.peers", "main", "compare speed and memory with others"),
    "evaluate-report": (
        "models_onnx.evaluation.quality_table",
        "main",
        "measure how well render --report knows how good stems are",
    ),
    "evaluate-width": (
        "models_onnx.evaluation.width_table",
        "main",
        "measure what a width that is asked for takes",
    ),
    "evaluate-scan": (
        "models_onnx.evaluation.scan_table",
        "main",
        "measure what scan finds, and when",
    ),
    "evaluate-voice": (
        "models_onnx.evaluation.voice",
        "main",
        "measure how well the singer is taken out",
    ),
    "evaluate-seams": (
        "models_onnx.evaluation.seams",
        "main",
        "measure what is heard where pieces of a file meet",
    ),
    "unet-table": ("models_onnx.evaluation.unet_tables", "main", "compare runs of train-unet"),
    "spain-table": ("models_onnx.evaluation.spain_table", "main", "compare runs of spain-xumx"),
}
"""Module, function and purpose of each verb; a module is imported when its verb is called."""


def main(arguments: list[str]) -> None:
    """Run the verb that the first of `arguments` names with the rest of them."""
    verb, *rest = arguments or [""]
    if verb not in VERBS:
        asked = verb in ("-h", "--help")
        shown, width = sys.stdout if asked else sys.stderr, max(map(len, VERBS))
        print("usage: python -m models_onnx VERB [OPTIONS]; VERB is one of", file=shown)
        for name, (_, _, purpose) in VERBS.items():
            print(f"  {name:{width}}  {purpose}", file=shown)
        raise SystemExit(0 if asked else 2)
    module, function, _ = VERBS[verb]
    command = getattr(importlib.import_module(module), function)
    commands.app(command)(rest, prog_name=f"python -m models_onnx {verb}")


if __name__ == "__main__":
    main(sys.argv[1:])
