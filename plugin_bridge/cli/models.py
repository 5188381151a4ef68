"""`stemsteer models`: what there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugin_bridge.cli.console import print_table, say_json

if TYPE_CHECKING:
    from plugin_bridge.model_library import InstalledModel

HEADINGS = ("file", "tiers (latency)", "taken by", "size", "licence", "what")


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the models on this machine."""
    from plugin_bridge.model_library import found_models

    found = found_models()
    if as_json:
        say_json([_described(one) for one in found])
        return
    print_table(HEADINGS, map(_cells, found))


def _described(found: InstalledModel) -> dict[str, Any]:
    if found.spec is None:
        return {"path": str(found.path), "fault": found.fault}
    spec = found.spec
    return {
        "path": str(found.path),
        "name": spec.name,
        "tiers": {tier: round(found.latency_ms(tier), 1) for tier in spec.tiers},
        "conditions": sorted(spec.conditions),
        "targets": list(spec.targets),
        "size_bytes": found.size_bytes,
        "licence": spec.licence,
        "description": spec.description,
    }


def _cells(found: InstalledModel) -> list[str]:
    if found.spec is None:
        return [found.path.stem, "", "", "", "", f"cannot be used: {found.fault}"]
    spec = found.spec
    size_kb = found.size_bytes / 1000
    return [
        found.path.stem,
        ", ".join(f"{tier} ({found.latency_ms(tier):.0f} ms)" for tier in spec.tiers),
        ", ".join(sorted(spec.conditions)) or "its own targets",
        f"{size_kb / 1000:.1f} MB" if size_kb >= 1000 else f"{size_kb:.0f} kB",
        spec.licence,
        spec.description,
    ]
