"""What a benchmark leaves behind: a table for people, the same as JSON, a plot; and two of them side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sartm_core.support.files import replacing
from sartm_core.support.reports import markdown_table
from sartm_ros.benchmarking.stages import NODE, NOT_OVERHEAD, OVERHEAD, PARTS, STAGES

MEASURES = (
    ("sent", "sent", "{:.0f}"),
    ("received", "received", "{:.0f}"),
    ("missed %", "missed_share", "{:.1%}"),
    ("masks/s", "received_hz", "{:.1f}"),
    ("first", "latency_ms.first", "{:.1f}"),
    ("last", "latency_ms.last", "{:.1f}"),
    ("p50", "latency_ms.p50", "{:.1f}"),
    ("p95", "latency_ms.p95", "{:.1f}"),
    ("p99", "latency_ms.p99", "{:.1f}"),
    ("jitter", "jitter_ms.mean", "{:.1f}"),
    ("overhead p50", f"stages_ms.{OVERHEAD}.p50", "{:.2f}"),
    ("CPU ms/mask", "cpu_ms_per_mask.all", "{:.1f}"),
    ("of it model", "cpu_ms_per_mask.model", "{:.1f}"),
    ("MiB", "memory_mib", "{:.0f}"),
)
"""Title, place in a run's numbers, format."""
TOLD = ("model.name", "model.device", "model.engine", "model.precision", "model.note")


def at(tree: dict[str, Any], place: str) -> Any:
    """The value at `a.b.c`, None when there is none."""
    value: Any = tree
    for key in place.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def shown(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)


def named(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The medians of every rate, by what it is called."""
    for name, found in result["rates"].items():
        yield name, found["median"]


def markdown(result: dict[str, Any]) -> str:
    """All of it for people."""
    plan, host, node = result["plan"], result["host"], result["node"]
    model = ", ".join(node["diagnostics"].get(key, "") for key in TOLD if node["diagnostics"].get(key, ""))
    head = [
        "# The node, frames from memory through DDS\n",
        f"`{result['command']}`, {result['created']}\n",
        f"- {host['cpu']}, {host['cpus']} CPUs, Python {host['python']}; RMW {result['rmw']}",
        f"- model: {model}; pinned: {plan['pin']}",
        f"- frames: {plan['image_size']}, {plan['rgb_encoding']} and {plan['thermal_encoding']}, {plan['transport']}, "
        f"sha256 {node['input_sha256'][:12]}; listened to: {', '.join(plan['listen'])}",
        f"- first mask {node['first_mask_s']:.1f} s after the start of the process",
        f"- medians of {plan['runs']} runs of {plan['seconds']:g} s; latency in ms, from the camera messages published "
        "to the mask received\n",
    ]
    if result["peak"]:
        head.append(peak(result["peak"], plan) + "\n")
    rows = [[name, *(shown(at(run, place), form) for _, place, form in MEASURES)] for name, run in named(result)]
    parts = [
        "\n".join(head),
        markdown_table([["rate", *(title for title, _, _ in MEASURES)], *rows]) + "\n",
        stages(result),
        outputs(result),
    ]
    return "\n".join(part for part in parts if part)


def peak(found: dict[str, Any], plan: dict[str, Any]) -> str:
    """A line about the peak rate."""
    few = f"with under {plan['loss']:.0%} missed"
    if not found["hz"]:
        return f"No rate from {plan['lowest']:g} Hz on holds {few}."
    if not found["confirmed"]:
        return f"No peak rate {few}: short runs hold up to {found['tried'][-1]['hz']:.1f} Hz, the runs below do not."
    limit = " (the highest tried)" if found["hz"] == plan["highest"] else ""
    return f"**Peak rate {few}: {found['hz']:.1f} Hz**{limit}"


def stages(result: dict[str, Any]) -> str:
    """Where the time goes, p50 at each rate."""
    told = [(name, run["stages_ms"]) for name, run in named(result) if run.get("stages_ms")]
    if not told:
        return ""
    first = told[0][1]
    titles = ["stage, ms p50", *(name for name, _ in told), "share", "what it is"]
    rows = [
        [s, *(shown(at(t, f"{s}.p50"), "{:.2f}") for _, t in told), share(first, s), text] for s, text in STAGES.items()
    ]
    sums = ((NODE, "callback to mask published"), (OVERHEAD, "the same without forward and busy model"))
    rows += [[f"**{s}**", *(shown(at(t, f"{s}.p50"), "{:.2f}") for _, t in told), "", text] for s, text in sums]
    return markdown_table([titles, *rows]) + "\nshare: of the overhead, at the first rate\n"


def share(stages: dict[str, Any], stage: str) -> str:
    """Of the overhead's parts; empty for what is no part of it."""
    parts = {name: at(stages, f"{name}.p50") or 0.0 for name in STAGES if name not in NOT_OVERHEAD}
    return f"{parts[stage] / sum(parts.values()):.0%}" if stage in parts and any(parts.values()) else ""


def outputs(result: dict[str, Any]) -> str:
    """What each output costs, p50 at the first rate that tells."""
    run = next((run for _, run in named(result) if run.get("outputs_ms")), None)
    if run is None:
        return ""
    spent = {name: [at(parts, f"{part}.p50") for part in PARTS] for name, parts in run["outputs_ms"].items()}
    rows = [[name, *(shown(ms, "{:.2f}") for ms in parts)] for name, parts in spent.items()]
    total = (sum(ms or 0.0 for ms in parts) for parts in zip(*spent.values(), strict=True))
    rows.append(["**all**", *(f"**{ms:.2f}**" for ms in total)])
    return markdown_table([["output, ms p50", *PARTS], *rows]) + "\n"


def comparison(before: dict[str, Any], after: dict[str, Any], names: tuple[str, str]) -> str:
    """Two results side by side. What makes them incomparable is said first."""
    lines = [f"A: {names[0]}\nB: {names[1]}\n"]
    for what, place in (("CPU", "host.cpu"), ("frames", "node.input_sha256"), ("outputs", "plan.listen")):
        a, b = at(before, place), at(after, place)
        if a != b:
            lines.append(f"NOT ALIKE, {what}: {a} and {b}\n")
    rows = []
    if (a := at(before, "peak.hz")) and (b := at(after, "peak.hz")):
        rows.append(["", "peak Hz", f"{a:.1f}", f"{b:.1f}", f"{b / a:.2f}"])
    there = dict(named(after))
    for name, run in named(before):
        for title, place, form in MEASURES if name in there else ():
            a, b = at(run, place), at(there[name], place)
            ratio = f"{b / a:.2f}" if a and b is not None else "-"
            rows.append([name, title, shown(a, form), shown(b, form), ratio])
    return "\n".join(lines) + "\n" + markdown_table([["rate", "measure", "A", "B", "B / A"], *rows]) + "\n"


def read(path: Path) -> dict[str, Any]:
    """A benchmark.json. ValueError naming the file when it is none."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        list(named(result))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a benchmark.json of sartm_ros.benchmark ({error!r})") from None
    return result


def plot(result: dict[str, Any], path: Path) -> bool:
    """Latency of all masks by rate, as a share of them; False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, found in result["rates"].items():
        values = sorted(value for run in found["runs"] for value in run["latencies_ms"])
        axes.step(values, [(i + 1) / len(values) for i in range(len(values))], where="post", label=name)
    axes.set(xlabel="latency, camera messages published to mask received, ms", ylabel="share of masks", ylim=(0, 1))
    axes.grid(alpha=0.3)
    if result["rates"]:
        axes.legend(title="rate")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    return True
