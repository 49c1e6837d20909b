"""What is looked at, in this order. A new probe is a function and one line here."""

from __future__ import annotations

from dataclasses import dataclass

from sartm_core.doctor import engines, installed, masks, ros
from sartm_core.doctor.findings import FAILURES, Finding, Probe, guarded


@dataclass(frozen=True)
class Look:
    """A line of the table."""

    name: str
    """Of the finding, when the probe fails."""
    probe: Probe
    needed: bool = False
    """Whether there are no masks without it."""


PROBES: dict[str, tuple[Look, ...]] = {
    "Masks from frames": (
        Look("Python", masks.python),
        Look("torch", masks.torch_and_device, needed=True),
        Look("packages", installed.packages),
        Look("weights", masks.weights, needed=True),
        Look("masks", masks.masks, needed=True),
    ),
    "Engines": (Look("engines", engines.engines),),
    "ROS 2": (
        Look("rclpy", ros.ros),
        Look("Fast DDS", ros.profile),
        Look("shared memory", ros.shared_memory),
    ),
    "Disk": (Look("caches", installed.caches),),
    "Optional extras": (Look("extras", installed.extras),),
}
"""Title -> its probes."""


def examine() -> tuple[dict[str, list[Finding]], list[Finding]]:
    """All findings by title, and those that stand in the way of masks."""
    findings: dict[str, list[Finding]] = {title: [] for title in PROBES}
    obstacles: list[Finding] = []
    for title, looks in PROBES.items():
        for look in looks:
            found = guarded(look.name, look.probe)
            findings[title] += found
            obstacles += [finding for finding in found if look.needed and finding.status in FAILURES]
    return findings, obstacles
