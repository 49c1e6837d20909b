"""A benchmark as tables: for the terminal and for `benchmark.md`."""

from __future__ import annotations

from typing import Any

from sartm_core.benchmark.ratios import bounds_ms
from sartm_core.benchmark.results import Case, Found, Row
from sartm_core.support.reports import markdown_table

MB, GIGA = 1e6, 1e9
MISSING = "-"
UNEVEN = 1.5
"""A slowest twentieth of more than so many medians is not the engine's doing."""
PER_SECOND = 1e3

Line = tuple[str, ...]

TERMS = (
    "forward: the network alone, prepared inputs to class scores. whole call: uint8 arrays to class ids, with "
    "preprocessing and postprocessing, without confidence unless told otherwise. Times are milliseconds, the median "
    "and the 95th percentile of {runs} rounds; in each, every line of the table had a turn. x plain: how many times "
    "faster than the baseline, two plain fp32 passes. Bounds: (a) the plain model's counted operations at the measured "
    "rate of large square matrices; (a') likewise for the folded graph, which has fewer; (b) the plain model's own "
    "products, timed one by one; 1.00 is as fast as the machine multiplies."
)
MEMORY_TERMS = (
    "MB = 10^6 bytes, beside what the process had after its imports. frames: most while segmenting; start: most "
    "before, loading and compiling. allowed: weights and largest pair of activations, of the graph as run in its "
    "precision, and of the plain fp32 model. Difference of logits: largest of {frames} frames, beside the range that "
    "the logits have; equal pixels: of the masks, against plain fp32, mean and worst frame. start-up: seconds from "
    "starting Python to the first mask, without and with caches."
)
PEER_TERMS = (
    "Lines with a file's name are networks of others, as exported: the network alone, on the same frames brought to "
    "its size. What they answer was not looked at."
)


def report(found: Found) -> str:
    """Everything, in Markdown."""
    settings = found.settings
    parts = [machine_text(found.machine), f"Frames: {found.frames}. " + TERMS.format(runs=settings["runs"])]
    for case in found.cases:
        parts += case_parts(case)
    parts.append(MEMORY_TERMS.format(frames=settings["agreement_frames"]))
    return "\n\n".join(parts) + "\n"


def machine_text(machine: dict[str, Any]) -> str:
    """One paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    processors = [f"{machine['cpu']} ({', '.join(machine['flags'])})", *machine["gpus"]]
    return (
        f"{'; '.join(processors)}; {machine['threads']} threads on {machine['cpus']} CPUs, {machine['memory_gib']} "
        f"GiB; {machine['system']}, Python {machine['python']}, {versions}; SARTM {machine['sartm']}."
    )


def case_parts(case: Case) -> list[str]:
    """Title, summary and tables of one model at one size."""
    parts = [f"## {case.backbone} at {case.size} ({case.weights})"]
    parts += [
        text for text in (summary(case), markdown_table(rate_lines(case)), markdown_table(time_lines(case))) if text
    ]
    parts.append(markdown_table(other_lines(case)))
    if case.peers:
        parts.append(PEER_TERMS)
    choices = dict.fromkeys(row.ran["choice"] for row in case.rows if row.ran and "auto" in (row.engine, row.precision))
    parts += [f"auto: {choice}." for choice in choices]
    missing = [(row.engine, row.precision, row.why_not) for row in all_rows(case) if row.why_not]
    return [*parts, markdown_table([("engine", "precision", "not measured, because"), *missing])] if missing else parts


def all_rows(case: Case) -> list[Row]:
    return [row for row in (case.baseline, *case.rows, *case.peers) if row is not None]


def summary(case: Case) -> str:
    """The best engine in a sentence."""
    best = case.best
    if best is None or best.forward is None or case.baseline is None or case.baseline.forward is None:
        return "No engine could be measured."
    text = (
        f"Fastest: {best.ran['engine']} in {best.ran['precision']}, {best.forward.p50:.1f} ms forward, "
        f"{best.ratios['speedup']:.2f}x faster than two plain fp32 passes ({case.baseline.forward.p50:.1f} ms)"
    )
    if "square" in best.ratios:
        text += f", {best.ratios['square']:.2f}x of bound (a), {best.ratios['products']:.2f}x of bound (b)"
    total = best.mask["total"].p50
    return f"{text}. Whole call {total:.1f} ms, {PER_SECOND / total:.1f} frames a second.{doubt(case)}"


def doubt(case: Case) -> str:
    """A sentence where the times are too uneven to be believed."""
    measured = [row for row in all_rows(case) if row.forward is not None]
    uneven = {f"{row.engine} {row.precision}": row.forward.p95 / row.forward.p50 for row in measured if row.forward}
    name = max(uneven, key=lambda one: uneven[one])
    if uneven[name] < UNEVEN:
        return ""
    return (
        f" **The machine was busy**: the 95th percentile of {name} is {uneven[name]:.1f} times its median. Do not "
        "trust these numbers; repeat with nothing else running."
    )


def rate_lines(case: Case) -> list[Line]:
    """What the machine can do."""
    plain, deploy = (case.counts[name]["flops"] / GIGA for name in ("plain", "deploy"))
    head = ("precision", "square GFLOP/s", f"(a) ms, {plain:.1f} GFLOP", f"(a') ms, {deploy:.1f} GFLOP", "(b) ms")
    lines: list[Line] = [head]
    for precision, rate in case.rates.items():
        bounds = (f"{ms:.1f}" for ms in bounds_ms(case, precision).values())
        lines.append((precision, f"{rate.square_gflops:.0f}", *bounds))
    return lines


def time_lines(case: Case) -> list[Line]:
    """One line for each way that was measured."""
    lines: list[Line] = [(
        "engine", "precision", "**forward ms**", "p95", "**x plain**", "x (a)", "x (a')", "x (b)", "preprocess",
        "postprocess", "**whole call**", "p95", "frames/s", "with confidence",
    )]  # fmt: skip
    for row in all_rows(case):
        if row.forward is None:
            continue
        ratios = [number(row.ratios.get(key), 2) for key in ("speedup", "square", "square_deploy", "products")]
        lines.append((
            row.engine, precision_of(row), number(row.forward.p50), number(row.forward.p95), *ratios, *call_cells(row),
        ))  # fmt: skip
    return lines


def call_cells(row: Row) -> Line:
    """Of a whole call, which a network of others does not have."""
    call, sure = row.mask, row.confidence
    if not call:
        return (MISSING,) * 6
    times = (call["preprocess"].p50, call["postprocess"].p50, call["total"].p50, call["total"].p95)
    return (*map(number, times), number(PER_SECOND / call["total"].p50), number(sure["total"].p50))


def other_lines(case: Case) -> list[Line]:
    """Memory, agreement and start-up."""
    lines: list[Line] = [(
        "engine", "precision", "**frames MB**", "start MB", "allowed", "**ratio**", "allowed, plain", "ratio",
        "difference of logits", "**equal %**", "worst %", "**start-up s**", "again s",
    )]  # fmt: skip
    for row in all_rows(case):
        if row.forward is not None:
            cells = (*memory_cells(row), *agreement_cells(row), *startup_cells(row))
            lines.append((row.engine, precision_of(row), *cells))
    return lines


def precision_of(row: Row) -> str:
    """What ran, also where it was left open."""
    ran = row.ran["precision"]
    return ran if ran == row.precision else f"{row.precision} ({ran})"


def memory_cells(row: Row) -> Line:
    memory = row.memory
    if memory is None:
        return (MISSING,) * 6
    peak = memory.running if memory.running is not None else memory.starting
    cells = [megabytes(memory.running), megabytes(memory.starting)]
    for allowed in (memory.allowed, memory.allowed_plain):
        cells += [megabytes(allowed), number(peak / allowed if allowed else None, 2)]
    return tuple(cells)


def agreement_cells(row: Row) -> Line:
    found = row.agreement
    if found is None:
        return (MISSING,) * 3
    difference = f"{found.logit_difference:.3g} of {found.logit_range:.3g}"
    return difference, f"{found.equal_mean:.3%}".rstrip("%"), f"{found.equal_least:.3%}".rstrip("%")


def startup_cells(row: Row) -> Line:
    return (MISSING,) * 2 if row.startup is None else (number(row.startup.first), number(row.startup.second))


def number(value: float | None, digits: int = 1) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def megabytes(count: int | None) -> str:
    return MISSING if count is None else f"{count / MB:.0f}"
