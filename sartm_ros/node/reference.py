"""The tables of the node's pages in docs/, written from the code so that they cannot drift.

    python -m sartm_ros.node.reference --write     fill the tables in
    python -m sartm_ros.node.reference --check     exit code 1, and what differs, unless up to date

A table stands between `<!-- generated: NAME -->` and `<!-- end -->`; the text around them is written by hand.
Parameters come from `sartm_ros.node.parameters`, diagnostics keys from `sartm_ros.health.diagnostics`,
outputs of frames from `sartm_ros.outputs.table`; other topics, services, states and exit codes are listed here, and
tests compare them with a running node.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sartm_ros.outputs.table import TABLE

COMMAND = "python -m sartm_ros.node.reference --write"
"""What mends an outdated page."""
PAGES = ("docs/node_says.md", "docs/node_reference.md")
"""Where the tables are, from the repository's root; each is on one of them."""
BLOCK = re.compile(r"(<!-- generated: (?P<name>[^>]*?) -->\n)(?P<table>.*?)(<!-- end -->)", re.DOTALL)
OPENING = "<!-- generated:"
NODE = "segment"
"""The node's own name; `~` stands for it."""


class PageError(ValueError):
    """A page whose markers cannot be used; the text says what was found and what was expected."""


@dataclass(frozen=True)
class Qos:
    """What the node asks of a camera, or offers on an output."""

    reliability: str
    """`best_effort` or `reliable`."""
    depth: int
    durability: str = "volatile"
    """`volatile`, or `transient_local` (latched: who subscribes later gets the last message)."""

    def __str__(self) -> str:
        latched = ", latched" if self.durability == "transient_local" else ""
        return f"{self.reliability.replace('_', ' ')}{latched}, depth {self.depth}"


@dataclass(frozen=True)
class Topic:
    """A topic of the node, by the name that its code gives it."""

    name: str
    type: str
    qos: Qos
    meaning: str
    needs: str = ""
    """Python package that must be installed for this topic to exist."""

    def resolved(self, namespace: str) -> str:
        """The full name of the topic of the node in `namespace` (no slash at its end)."""
        return self.name if self.name.startswith("/") else f"{namespace}/{self.name.replace('~', NODE)}"


IMAGE, INFO, STRING = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo", "std_msgs/msg/String"
CAMERA, FRAMES, LATCHED = Qos("best_effort", 5), Qos("reliable", 1), Qos("reliable", 1, "transient_local")

INPUTS = (
    Topic("rgb/image_raw", IMAGE, CAMERA, "Colour camera. Its header goes on every output."),
    Topic("thermal/image_raw", IMAGE, CAMERA, "Thermal camera."),
)
"""With `rgb_transport` or `thermal_transport` `compressed` the type is CompressedImage; QoS by `qos.*`."""

BESIDE = (
    Topic(
        "rgb/camera_info", INFO, CAMERA,
        "Calibration of the colour camera. Not remapped itself, it is looked for beside the camera's images.",
    ),
    Topic("thermal/camera_info", INFO, CAMERA, "The same of the thermal camera."),
    Topic("depth/image_raw", IMAGE, CAMERA, "Depth aligned to the colour camera: 16UC1 mm or 32FC1 m."),
)  # fmt: skip
"""Listened to while an output needs it that somebody subscribes to, or `registration.mode` is depth."""

OUTPUTS = (
    *(Topic(one.name, one.type, LATCHED if one.latched else FRAMES, one.meaning, one.package) for one in TABLE),
    Topic("classes", STRING, LATCHED, "JSON: `model`, `unlabelled` (255), `classes` (each `id`, `name`, `color`)."),
    Topic(
        "label_info",
        "vision_msgs/msg/LabelInfo",
        LATCHED,
        "Class names by id, and `confidence_threshold`. Only where vision_msgs 4.1 or newer is installed.",
        needs="vision_msgs",
    ),
    Topic("state", STRING, LATCHED, "One of the node's states."),
    Topic("~/timing", STRING, Qos("reliable", 100), "JSON: when each step from camera message to mask happened."),
    Topic(
        "/diagnostics",
        "diagnostic_msgs/msg/DiagnosticArray",
        Qos("reliable", 10),
        "Once a second, and at once when the state changes.",
    ),
)

SERVICES = (
    ("~/reload", "std_srvs/srv/Trigger", "Load the weights that the parameters name, and swap between two frames."),
    ("~/reset_alarm", "std_srvs/srv/Trigger", "Somebody has seen `alarm`: it is false until the next hot spot."),
    ("~/change_state", "lifecycle_msgs/srv/ChangeState", "configure, activate, deactivate, cleanup, shutdown."),
    ("~/get_state", "lifecycle_msgs/srv/GetState", "Lifecycle state."),
    ("~/get_available_states", "lifecycle_msgs/srv/GetAvailableStates", "All lifecycle states."),
    ("~/get_available_transitions", "lifecycle_msgs/srv/GetAvailableTransitions", "Transitions from here."),
    ("~/get_transition_graph", "lifecycle_msgs/srv/GetAvailableTransitions", "All transitions."),
)
"""Name, type, meaning; `~` is the node's own name."""

EVERY_NODE = ("/parameter_events", "/rosout", "~/transition_event")
"""Topics that rclpy gives every (lifecycle) node; not listed."""

STATES = (
    ("unconfigured", "Lifecycle: nothing loaded."),
    ("loading", "Weights are being loaded and warmed up, within `load_timeout`."),
    ("inactive", "Loaded, not listening."),
    ("inactive: ...", "The node became inactive by itself; the text says why (`oom_fallback`)."),
    ("ok", "Both cameras are used."),
    ("degraded: thermal silent", "No usable thermal frames for `degraded.timeout`: masks from rgb alone."),
    ("degraded: thermal frozen", "The thermal frames no longer change: masks from rgb alone."),
    ("degraded: thermal unusable", "The thermal frames come, but cannot be decoded or hold no numbers: the same."),
    ("degraded: rgb silent", "Masks from thermal alone, with the thermal camera's header and size."),
    ("degraded: rgb frozen", "The same, because the rgb frames no longer change."),
    ("degraded: rgb unusable", "The same, because the rgb frames cannot be decoded."),
    (
        "degraded: rgb ...% refused: ...",
        "Masks come, without that share of the rgb frames; the reason follows. Thermal alike.",
    ),
    ("degraded: ...% of frames do not pair: ...", "Of the slower camera's frames that share finds no partner."),
    ("degraded: fewer masks than frames", "Under half of the masks come that pairs and the model's speed allow."),
    ("no masks: frames do not pair", "Both cameras send, their stamps do not fit; the log says why."),
    ("compiling for ...", "The engine makes its network for frames of a new aspect, whose size (WxH) it names."),
    (
        "no masks: the model does not answer",
        "It got frames and gave nothing for 2 s (5 s before the first mask), or 5 times its usual time if longer.",
    ),
    ("no masks: new weights are being loaded", "The same while `~/reload` takes the model's time; it ends by itself."),
    ("no masks: the model fails", "Three frames or more in a row and 2 s without a mask; `last_failure` says why."),
    ("no masks: ...", "The same text as after `degraded:`, with `degraded.enabled` false."),
    (
        "no input: ...",
        "Neither camera can be used: `rgb and thermal silent`; `rgb silent, thermal frozen` and the like.",
    ),
    ("finalized", "Shut down."),
)
"""Text on `state` (`...`: more text) and its meaning."""

EXIT_CODES = (
    ("0", "Ended by Ctrl-C or SIGTERM."),
    ("1", "Could not start: a bad parameter or, with `autostart`, a failed configure or activate."),
    ("2", "An argument that is not known; a parameter file that is not there or not YAML."),
)


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a `|` inside a cell is escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def code(text: str) -> str:
    """`text` in code type."""
    return f"`{text}`"


def shown(default: Any) -> str:
    """A default as a parameter file has it."""
    return str(default).lower() if isinstance(default, bool) else str(default)


def topics(table: Sequence[Topic]) -> str:
    """The table of some topics."""
    return markdown(
        ("topic", "type", "QoS", ""), ([code(t.name), code(short(t.type)), str(t.qos), t.meaning] for t in table)
    )


def short(kind: str) -> str:
    """`sensor_msgs/msg/Image` as people write it: `sensor_msgs/Image`."""
    return re.sub(r"/(msg|srv)/", "/", kind)


def services() -> str:
    """The table of the services."""
    return markdown(("service", "type", ""), ([code(n), code(short(kind)), text] for n, kind, text in SERVICES))


def states() -> str:
    """The table of the texts of `state`, each with the level that /diagnostics gives it."""
    module = importlib.import_module("sartm_ros.health.diagnostics")
    levels = ("OK", "WARN", "ERROR")
    rows = ([code(text), levels[module.level(text, False)[0]], meaning] for text, meaning in STATES)
    return markdown(("state", "level", "meaning"), rows)


def parameters() -> str:
    """The table of all parameters."""
    specs = importlib.import_module("sartm_ros.node.parameters").SPECS
    rows = ([code(s.name), code(shown(s.default)), s.values, s.applies, s.description] for s in specs)
    return markdown(("parameter", "default", "values", "takes effect", "meaning"), rows)


def diagnostics() -> str:
    """The table of the keys in /diagnostics."""
    keys = importlib.import_module("sartm_ros.health.diagnostics").KEYS
    return markdown(("key", "meaning"), ([code(key), text] for key, text in keys.items()))


def exit_codes() -> str:
    """The table of the process's exit codes."""
    return markdown(("exit code", "meaning"), EXIT_CODES)


TABLES: dict[str, Callable[[], str]] = {
    "inputs": lambda: topics(INPUTS),
    "beside": lambda: topics(BESIDE),
    "outputs": lambda: topics(OUTPUTS),
    "services": services,
    "states": states,
    "parameters": parameters,
    "diagnostics": diagnostics,
    "exit codes": exit_codes,
}
"""What a marker may name."""


def fill(pages: Sequence[str], tables: Mapping[str, Callable[[], str]] = TABLES) -> list[str]:
    """The pages with every marked table written anew.

    Raises PageError for a marker without its end, one that names no table, or a table that is nowhere or twice.
    """
    found = [match["name"] for page in pages for match in BLOCK.finditer(page)]
    opened = sum(page.count(OPENING) for page in pages)
    if opened != len(found):
        raise PageError(f"{opened} markers '{OPENING}', {len(found)} with '<!-- end -->'; expected all")
    if sorted(found) != sorted(tables):
        raise PageError(
            f"tables marked: {', '.join(found) or 'none'}; expected each of these once: {', '.join(tables)}"
        )
    return [BLOCK.sub(lambda match: match[1] + tables[match["name"]]() + match[4], page) for page in pages]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 when a page is out of date (--check) or cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m sartm_ros.node.reference", description=(__doc__ or "").split("\n")[0]
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="compare only; exit code 1 when a page is out of date")
    action.add_argument("--write", action="store_true", help="fill the tables in")
    parser.add_argument(
        "pages", type=Path, nargs="*", default=[Path(page) for page in PAGES], help=f"[default: {' '.join(PAGES)}]"
    )
    options = parser.parse_args(arguments)
    try:
        before = [page.read_text(encoding="utf-8") for page in options.pages]
        after = fill(before)
    except (OSError, PageError) as error:
        sys.stderr.write(f"{' '.join(map(str, options.pages))}: {error}\n")
        return 1
    outdated = [both for both in zip(options.pages, before, after, strict=True) if both[1] != both[2]]
    for page, old, new in outdated:
        if options.write:
            page.write_text(new, encoding="utf-8")
        else:
            sys.stderr.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "page", "code", n=0))
            sys.stderr.write(f"{page} is out of date. Mend it with: {COMMAND}\n")
    return int(bool(outdated) and options.check)


if __name__ == "__main__":
    sys.exit(main())
