"""soak.json, the table on the screen, and the Markdown of docs/reliability.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from test.ros.processes import ROOT
from test.soak.outcome import Outcome

PACKAGES = ("sartm_ros", "torch", "numpy", "pillow", "ros-rclpy", "ros-rmw-fastrtps-cpp")
MIDDLEWARE = "RMW_IMPLEMENTATION"
LONG = 100
"""Longer texts are left to soak.json."""


def host() -> dict[str, Any]:
    """The machine, as far as it matters for times."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 1e9),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Python and the packages that are installed, the ROS distro and middleware where they are named."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found | {name: os.environ[name] for name in ("ROS_DISTRO", MIDDLEWARE) if name in os.environ}


def commit() -> str:
    """What is checked out, "+" for changes on top; "" where there is no git."""
    try:
        asked = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def header(settings: dict[str, Any]) -> dict[str, Any]:
    """What a run is about; made before it."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"date": now, "commit": commit(), "host": host(), "versions": versions(), "settings": settings}


def collect(head: dict[str, Any], outcomes: list[Outcome]) -> dict[str, Any]:
    """Everything for soak.json."""
    violated = [f"{o.part}: {text}" for o in outcomes for text in o.violated]
    return {**head, "violated": violated, "parts": [asdict(o) for o in outcomes]}


def write(path: Path, report: dict[str, Any]) -> None:
    """Write soak.json."""
    path.write_text(json.dumps(report, indent=1, default=str, allow_nan=False) + "\n")


def rows(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(part, measurement, value) of what is short enough for a table."""
    return [
        (part["part"], name, shown(value))
        for part in report["parts"]
        for name, value in part["measured"].items()
        if not isinstance(value, dict) and len(shown(value)) <= LONG
    ]


def shown(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "never"
    return f"{value:,}" if isinstance(value, int) else str(value)


def verdicts(report: dict[str, Any]) -> list[str]:
    """One line a part."""
    counts = {part["part"]: len(part["violated"]) for part in report["parts"]}
    return [f"{part}: {f'{count} claims violated' if count else 'ok'}" for part, count in counts.items()]


def text(report: dict[str, Any]) -> str:
    """The table for a terminal."""
    table = rows(report)
    wide = max((len(name) for _, name, _ in table), default=0)
    lines, last = [], ""
    for part, name, value in table:
        lines += ["", part] if part != last else []
        lines.append(f"  {name:<{wide}}  {value}")
        last = part
    return "\n".join([*lines, "", *verdicts(report), *(f"VIOLATED {v}" for v in report["violated"])])


def markdown(report: dict[str, Any]) -> str:
    """The section of docs/reliability.md."""
    head = report["host"]
    packages = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    where = f"{head['cpu']}, {head['cores']} cores, {head['memory_gb']} GB, load {head['load_before']} before the start"
    lines = [
        f"{report['date'][:10]}, commit {report['commit'] or 'unknown'}. {where}. {packages}.",
        f"Settings: {', '.join(f'{k} {v}' for k, v in report['settings'].items())}.",
        "",
        f"**{'All claims held.' if not report['violated'] else 'Claims violated:'}**",
        *(f"- {v}" for v in report["violated"]),
        "",
        "| part | measured | value |",
        "|---|---|---|",
        *(f"| {part} | {name} | {value} |" for part, name, value in rows(report)),
    ]
    return "\n".join(lines)
