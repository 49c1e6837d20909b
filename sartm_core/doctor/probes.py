"""What is looked at, in this order. A new probe is a function and one line here."""

from __future__ import annotations

from sartm_core.doctor import engines, installed, masks, ros
from sartm_core.doctor.findings import FAILURES, Finding, Probe, guarded

PROBES: dict[str, dict[str, Probe]] = {
    "Masks from frames": {
        "Python": masks.python,
        "torch": masks.torch_and_device,
        "packages": installed.packages,
        "weights": masks.weights,
        "masks": masks.masks,
    },
    "Engines": {"engines": engines.engines},
    "ROS 2": {
        "rclpy": ros.ros,
        "companions": ros.companions,
        "Fast DDS": ros.profile,
        "shared memory": ros.shared_memory,
    },
    "Disk": {"caches": installed.caches},
    "Optional extras": {"extras": installed.extras},
}
"""Title -> its probes, by the name of the finding when one fails."""
NEEDED = ("torch", "weights", "masks")
"""Probes without which there are no masks."""


def examine() -> tuple[dict[str, list[Finding]], list[Finding]]:
    """All findings by title, and those that stand in the way of masks."""
    findings: dict[str, list[Finding]] = {title: [] for title in PROBES}
    obstacles: list[Finding] = []
    for title, probes in PROBES.items():
        for name, probe in probes.items():
            found = guarded(name, probe)
            findings[title] += found
            obstacles += [finding for finding in found if name in NEEDED and finding.status in FAILURES]
    return findings, obstacles
