"""`stemsteer models` and `stemsteer bench`: what there is to choose from, and what it costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from plugin_bridge.diagnostics.model_speed import HopBench, ModelBench
    from plugin_bridge.model_library import InstalledModel


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the models on this machine."""
    from rich.console import Console
    from rich.table import Table

    from plugin_bridge.model_library import found_models

    found = found_models()
    if as_json:
        typer.echo(json.dumps([_described(one) for one in found], indent=2, ensure_ascii=False))
        return
    table = Table("file", "tiers (latency)", "taken by", "size", "licence", "what", box=None)
    for one in found:
        table.add_row(*_cells(one))
    Console().print(table)


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Names or paths.  [all]")
    ] = None,
    hops: Annotated[int, typer.Option(min=100, help="Hops to time.")] = 2000,
    seconds: Annotated[float, typer.Option(min=4, help="Sound to separate offline.")] = 30.0,
    instances: Annotated[
        int, typer.Option(min=0, help="Instead: so many plugin instances at once in real time.")
    ] = 0,
    osc: Annotated[
        bool, typer.Option("--osc", help="Instead: what OSC costs beside live sound.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Measure how long models take on this machine: one thread, 44.1 kHz stereo."""
    from plugin_bridge.diagnostics import model_speed as measure
    from plugin_bridge.model_library import found_models
    from realtime import find_model

    if instances:
        _rehearse(names or ["panorama"], instances, seconds, as_json)
        return
    if osc:
        _bench_osc(names[0] if names else "panorama", seconds, as_json)
        return
    if names:
        paths = [find_model(name) for name in names]
    else:
        paths = [one.path for one in found_models() if one.spec]
    machine = measure.machine()
    results = [measure.bench(path, hops=hops, seconds=seconds) for path in paths]
    if as_json:
        report = {"machine": machine, "models": [result.to_dict() for result in results]}
        typer.echo(json.dumps(report, indent=2))
        return
    _print_bench(results, markdown=as_markdown)
    words = f"{machine['processor']}, {machine['cores']} cores, one thread; "
    words += f"Python {machine['python']}, onnxruntime {machine['onnxruntime']}; "
    typer.echo(f"\n{words}load at the start {machine['load'] or 0:.1f}.")


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


def _rehearse(names: list[str], instances: int, seconds: float, as_json: bool) -> None:
    """Print whether so many instances are served in time."""
    from plugin_bridge.diagnostics.engine_load import measure_engine_load

    results = [measure_engine_load(name, instances, seconds) for name in names]
    if as_json:
        typer.echo(json.dumps([vars(result) for result in results], indent=2))
        return
    for r in results:
        typer.echo(
            f"{r.model}: {r.instances} instances, {r.late} of {r.blocks} blocks late, load "
            f"{r.load:.0%} of one core, worst call {r.worst_hop_ms:.1f} ms; longest pause of the "
            f"machine {r.longest_pause_ms:.1f} ms"
        )


def _bench_osc(name: str, seconds: float, as_json: bool) -> None:
    """Print what feedback, a flood and a move by OSC do to a live session."""
    from plugin_bridge.diagnostics.osc_load import bench_osc
    from realtime import load_model

    r = bench_osc(load_model(name, "live"), seconds)
    if as_json:
        typer.echo(json.dumps(vars(r), indent=2))
        return
    typer.echo(
        f"feedback at 60 Hz: {r.feedback_share:.1%} of a core, {r.late_with_feedback} of {r.blocks}"
        f" blocks late, without it {r.late_alone}\n"
        f"{r.messages} messages in {r.seconds:g} s: {r.late_in_flood} of {r.blocks} blocks late, "
        f"memory {r.memory_before_mb:.1f} MB before, {r.memory_after_mb:.1f} MB after\n"
        f"message to sound, beside the latency: median {r.delay_median_ms:.1f} ms, "
        f"p99 {r.delay_p99_ms:.1f} ms; one hop is {r.hop_ms:.1f} ms"
    )


def _print_bench(results: list[ModelBench], *, markdown: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    hops = Table(*HOP_HEADINGS, box=box.MARKDOWN if markdown else None)
    rest = Table(*OFFLINE_HEADINGS, box=box.MARKDOWN if markdown else None)
    for result in results:
        for hop in result.hops:
            hops.add_row(result.model, *_hop_cells(hop))
        _add_offline(rest, result)
    console = Console(width=160 if markdown else None)
    console.print(hops)
    console.print(rest)


HOP_HEADINGS = (
    "model",
    "tier",
    "targets",
    "latency",
    "hop",
    "median",
    "p99",
    "max",
    "analysis",
    "model ",
    "synthesis",
)
OFFLINE_HEADINGS = ("model", "offline, 1 target", "8 targets cost", "file", "load", "memory so far")


def _hop_cells(bench: HopBench) -> list[str]:
    hop_us = bench.hop_us
    whole = (bench.whole.median_us, bench.whole.p99_us, bench.whole.max_us)
    parts = (bench.analysis.median_us, bench.model.median_us, bench.synthesis.median_us)
    latency_ms = bench.latency_samples / 44.1
    return [
        bench.tier,
        str(bench.targets),
        f"{bench.latency_samples} ({latency_ms:.1f} ms)",
        f"{hop_us / 1000:.2f} ms",
        *(f"{us / 1000:.2f} ms, {us / hop_us:.1%}" for us in whole),
        *(f"{us / 1000:.2f} ms" for us in parts),
    ]


def _add_offline(table: Table, result: ModelBench) -> None:
    one, *more = result.offline
    table.add_row(
        result.model,
        f"{1 / one.real_time_factor:.0f} times real time",
        f"{more[-1].real_time_factor / one.real_time_factor:.1f} times as much" if more else "",
        f"{result.file_bytes / 1e6:.2f} MB",
        f"{result.load_ms:.0f} ms",
        f"{result.resident_mb:.0f} MB",
    )
