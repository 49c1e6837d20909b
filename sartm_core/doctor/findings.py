"""What a probe found, and probes that cannot stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

OK = "ok"
NOTE = "note"
"""Works, or is not needed here; worth knowing."""
MISSING = "missing"
"""Not installed."""
BROKEN = "broken"
"""Installed, and does not work."""
FAILURES = (MISSING, BROKEN)

PIP = {
    "PIL": "pip install pillow",
    "yaml": "pip install pyyaml",
    "sam2": "SAM2_BUILD_CUDA=0 pip install --no-build-isolation sam2",
    "torch": "pip install torch torchvision",
    "sartm_ros": "pip install -e . (in the checkout)",
}
"""Python module -> what brings it, where that is not `pip install MODULE`."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    status: str
    """`OK`, `NOTE`, `MISSING` or `BROKEN`."""
    name: str
    """What was looked at."""
    found: str
    """What there is."""
    remedy: str = ""
    """What to type or to do; empty where there is nothing to do."""


Probe = Callable[[], Iterable[Finding]]
"""Looks at one thing; a line each for what it found."""


def guarded(name: str, probe: Probe) -> list[Finding]:
    """What a probe found; its exception is a finding of that name."""
    found: list[Finding] = []
    try:
        for finding in probe():
            found.append(finding)
    except ModuleNotFoundError as error:  # a package that is not installed, too
        module = (error.name or str(error)).partition(".")[0]
        found.append(Finding(MISSING, name, f"{module} is not installed", install(module)))
    except Exception as error:  # whatever it is, the next probe may tell why
        text = " ".join(str(error).split())
        found.append(Finding(BROKEN, name, f"{type(error).__name__}: {text}" if text else type(error).__name__))
    return found


def install(module: str) -> str:
    """The command that brings a Python module."""
    return PIP.get(module, f"pip install {module}")
