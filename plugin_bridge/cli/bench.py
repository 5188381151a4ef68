"""`stemsteer bench`: what models, many plugin instances and OSC cost on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from plugin_bridge.cli.console import print_table
from plugin_bridge.cli.options import AsJson

if TYPE_CHECKING:
    from plugin_bridge.diagnostics.model_speed import HopBench, ModelBench


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Names or paths.  \\[all]")
    ] = None,
    hops: Annotated[int, typer.Option(min=100, help="Hops to time.")] = 2000,
    seconds: Annotated[float, typer.Option(min=4, help="Sound to separate offline.")] = 30.0,
    instances: Annotated[
        int, typer.Option(min=0, help="Instead: so many plugin instances at once in real time.")
    ] = 0,
    osc: Annotated[
        bool,
        typer.Option(
            "--osc",
            help="Instead: what OSC costs beside live sound; --seconds thrice, and 30 more.",
        ),
    ] = False,
    panel: Annotated[
        bool, typer.Option("--panel", help="Instead: what the panel costs beside live sound.")
    ] = False,
    stages: Annotated[
        bool, typer.Option("--stages", help="Instead: what a track costs beside the separator.")
    ] = False,
    paced: Annotated[
        bool,
        typer.Option("--paced", help="Instead: whether runs beside the stream come in time."),
    ] = False,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Measure how long models take on this machine: one thread, 44.1 kHz stereo."""
    from plugin_bridge.diagnostics import model_speed as measure
    from plugin_bridge.model_library import found_models
    from realtime import find_model

    if instances:
        _bench_engine(names or ["panorama"], instances, seconds, as_json)
        return
    if osc:
        _bench_osc(names[0] if names else "panorama", seconds, as_json)
        return
    if panel:
        _bench_panel(names[0] if names else "panorama", seconds, as_json)
        return
    if paced:
        _bench_paced(names or ["spleeter"], seconds, as_json)
        return
    if stages:
        _bench_stages(names or ["panorama"], hops, as_json)
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


def _bench_engine(names: list[str], instances: int, seconds: float, as_json: bool) -> None:
    """Print whether so many instances are served in time."""
    from plugin_bridge.diagnostics.engine_load import measure_engine_load

    results = [measure_engine_load(name, instances, seconds) for name in names]
    if as_json:
        typer.echo(json.dumps([result.to_dict() for result in results], indent=2))
        return
    for r in results:
        typer.echo(
            f"{r.model}: {r.instances} instances, {r.late} of {r.blocks} blocks late, load "
            f"{r.load:.0%} of one core, worst call {r.worst_hop_ms:.1f} ms\n"
            f"answers: {r.answer.summary()}\n"
            f"wake-ups of the host's clock, late by: {r.wake_up.summary()}"
        )
        buckets = dict(r.wake_up.rows())
        rows = [(words, str(n), str(buckets.pop(words, 0))) for words, n in r.answer.rows()]
        rows += [(words, "0", str(n)) for words, n in buckets.items()]
        print_table(("", "answers", "wake-ups"), rows)


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


def _bench_panel(name: str, seconds: float, as_json: bool) -> None:
    """Print how soon the panel moves the sound and shows it, and what it costs."""
    from plugin_bridge.diagnostics.panel_load import MANY, bench_panel
    from realtime import load_model

    r = bench_panel(load_model(name, "live"), seconds)
    if as_json:
        typer.echo(json.dumps(vars(r), indent=2))
        return
    typer.echo(
        f"hand to sound, beside the latency: median {r.hand_median_ms:.1f} ms, "
        f"p95 {r.hand_p95_ms:.1f} ms\n"
        f"sound to picture, beside the latency: median {r.picture_median_ms:.1f} ms, "
        f"p95 {r.picture_p95_ms:.1f} ms; {r.pictures_hz:.1f} pictures a second\n"
        f"the panel's process: {r.share_of_one:.1%} of a core with one browser, "
        f"{r.share_of_many:.1%} with {MANY}\n"
        f"late of {r.blocks} blocks: {r.late_alone} without a browser, {r.late_with_one} with one, "
        f"{r.late_with_many} with {MANY}"
    )


def _bench_paced(names: list[str], seconds: float, as_json: bool) -> None:
    """Print how many runs of models that see a stretch of sound at once were late."""
    from plugin_bridge.diagnostics.paced_runs import measure_paced_runs
    from realtime import load_model

    results = {}
    for name in names:
        model = load_model(name)
        tiers = [tier for tier, its in model.spec.tiers.items() if its.runs and tier != "offline"]
        if not tiers:
            raise typer.BadParameter(f"{name} steps frame by frame: bench it without --paced")
        results[name] = [measure_paced_runs(model, tier, seconds) for tier in tiers]
    if as_json:
        typer.echo(
            json.dumps({n: [vars(r) for r in rows] for n, rows in results.items()}, indent=2)
        )
        return
    for name, rows in results.items():
        for r in rows:
            typer.echo(
                f"{name} {r.tier}, {r.seconds:g} s in real time: {r.late_runs} of {r.runs} runs "
                f"and {r.late_hops} of {r.hops} hops late, the longest {r.longest_hop_ms:.1f} ms, "
                f"{r.core_share:.0%} of a core"
            )


def _bench_stages(names: list[str], hops: int, as_json: bool) -> None:
    """Print what levels, automation and meters cost beside the separator, hop by hop."""
    from plugin_bridge.diagnostics.stage_cost import measure_stage_costs
    from realtime import load_model

    results = {name: measure_stage_costs(load_model(name, "live"), hops) for name in names}
    if as_json:
        rows = {name: [vars(cost) for cost in costs] for name, costs in results.items()}
        typer.echo(json.dumps(rows, indent=2))
        return
    for name, costs in results.items():
        for cost in costs:
            typer.echo(
                f"{name}, {cost.name}: {cost.hop_us:.0f} us a hop, {cost.beside_us:.0f} of them "
                "beside the separator"
            )


def _print_bench(results: list[ModelBench], *, markdown: bool) -> None:
    hops = [(result.model, *_hop_cells(hop)) for result in results for hop in result.hops]
    print_table(HOP_HEADINGS, hops, markdown=markdown)
    print_table(OFFLINE_HEADINGS, map(_offline_cells, results), markdown=markdown)


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


def _offline_cells(result: ModelBench) -> tuple[str, ...]:
    one, *more = result.offline
    return (
        result.model,
        f"{1 / one.real_time_factor:.0f} times real time",
        f"{more[-1].real_time_factor / one.real_time_factor:.1f} times as much" if more else "",
        f"{result.file_bytes / 1e6:.2f} MB",
        f"{result.load_ms:.0f} ms",
        f"{result.resident_mb:.0f} MB",
    )
