"""What ranges and choices cannot say: whether parameter values fit each other, and whether files are there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sartm_core.support.files import unreadable
from sartm_core.support.text import plain
from sartm_ros.companions import info_file
from sartm_ros.errors import ParameterError
from sartm_ros.inference.jobs import CHECKPOINT

STRIDE = 32
"""Model inputs are multiples of this (`sartm_core.preprocess.config.STRIDE`; importing that takes seconds)."""
LARGEST_INPUT, LARGEST_AREA = 8192, 4096 * 4096
"""Its `LARGEST_SIDE` and `LARGEST_AREA`."""
SHOWN = 200
"""Characters of a value in a message."""
NONE = "none"
"""Of `adapters`, `sam2` and `selected_classes`."""
IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
"""Default of `registration.homography`."""
DEFAULT = "default"
"""Stands for the shipped weights."""
HUB = "hf:"
"""In front of a repository's name on the Hub (`sartm_core.model.hub.PREFIX`)."""


def together(values: dict[str, Any]) -> list[str]:
    """What is wrong with a full set of values that are each of the right type and range; one sentence each."""
    problems = []
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", values["device"]):
        problems.append(f"device: got '{plain(values['device'], SHOWN)}', expected auto, cpu, cuda or cuda:N")
    try:
        input_size(values)
    except ParameterError as error:
        problems.append(str(error))
    problems += _thermal(values) + _names(values)
    return problems


def _thermal(values: dict[str, Any]) -> list[str]:
    problems = []
    mode, low, high = (values[f"thermal.{key}"] for key in ("normalization", "low", "high"))
    if mode in ("percentile", "range") and not low < high:
        problems.append(f"thermal.low: got {low}, expected less than thermal.high ({high})")
    if mode == "percentile" and not (low >= 0 and high <= 100):
        problems.append(f"thermal.low, thermal.high: got {low}, {high}, expected percentiles in 0..100")
    if values["thermal.scale"] == 0:
        problems.append("thermal.scale: got 0, expected any other number (0 turns every image into one value)")
    return problems


def alarm(values: dict[str, Any]) -> list[str]:
    """What is wrong with the alarm.* values."""
    hot, hysteresis = values["alarm.temperature"], values["alarm.hysteresis"]
    if hot and hysteresis >= hot:
        return [f"alarm.hysteresis: got {hysteresis}, expected less than alarm.temperature ({hot})"]
    return []


def registration(values: dict[str, Any]) -> list[str]:
    """What is wrong with the registration.* values, in use or not: the mode can be changed at any time."""
    from sartm_core.preprocess.parallax import rigid
    from sartm_core.preprocess.registration import Registration

    sizes = tuple(values["registration.thermal_size"]), tuple(values["registration.rgb_size"])
    problems = []
    try:
        rigid(values["registration.rgb_to_thermal"])
    except ValueError as error:
        problems.append(str(error))
    try:
        Registration(tuple(values["registration.homography"]), *sizes)
    except ValueError as error:
        problems.append(str(error))
    try:
        Registration.scale_shift(values["registration.scale"], values["registration.shift"], *sizes)
    except ValueError as error:  # of numbers that are fine one by one, it tells as a matrix
        problems.append(str(error).replace("registration.homography", "registration.scale, registration.shift"))
    return list(dict.fromkeys(problems))  # a bad size is bad for both


def input_size(values: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width of the parameter `input_size`; None for the weights' own. Raises ParameterError."""
    text = values["input_size"]
    if text == "checkpoint":
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    sides = all(0 < side <= LARGEST_INPUT and side % STRIDE == 0 for side in size)
    if not sides or size[0] * size[1] > LARGEST_AREA:
        raise ParameterError(
            f"input_size: got '{plain(text, SHOWN)}', expected 'checkpoint' or HEIGHTxWIDTH in multiples of {STRIDE}, "
            f"as 480x640, each at most {LARGEST_INPUT} and {LARGEST_AREA} pixels in all"
        )
    return size


def files(values: dict[str, Any], changed: Iterable[str]) -> list[str]:
    """Which of the changed parameters name a file that cannot be read, and why."""
    changed = set(changed)
    named = [
        ("checkpoint", values["checkpoint"], f"'{DEFAULT}' or a file"),
        ("sam2", values["sam2"], f"'{NONE}' or a file"),
    ]
    named += [("adapters", file, f"'{NONE}' or files") for _, file in _named(values["adapters"])]
    problems = []
    for name, file, expected in named:
        is_word = file == (NONE if name == "sam2" else DEFAULT) or file.startswith(HUB)  # fetched when it is loaded
        if name in changed and not is_word and (why := unreadable(file)):
            problems.append(f"{name}: got '{plain(file, SHOWN)}', expected {expected}; {why}")
    if changed & set(info_file.PARAMETERS.values()):
        try:
            info_file.files_of(values)
        except ValueError as error:
            problems.append(plain(error))
    return problems


def adapters(values: dict[str, Any]) -> dict[str, str]:
    """The files of the parameter `adapters`, by name."""
    return dict(_named(values["adapters"]))


def _named(text: str) -> list[tuple[str, str]]:
    """`NAME=FILE, FILE, ...` -> (name, file) each; a file without a name is called by its stem."""
    found = []
    for part in [] if text == NONE else text.split(","):
        name, equals, file = (word.strip() for word in part.partition("="))
        found.append((name, file) if equals and "/" not in name else (called(part.strip()), part.strip()))
    return found


def called(file: str) -> str:
    """What a file is called without a name of its own: its stem; a repository without owner and revision."""
    return file.partition("@")[0].rpartition("/")[2] if file.startswith(HUB) else Path(file).stem


def _names(values: dict[str, Any]) -> list[str]:
    problems, files = [], {called(values["checkpoint"]): values["checkpoint"]}
    for name, file in _named(values["adapters"]):
        shown = plain(file, SHOWN)
        if name in ("", CHECKPOINT) or plain(name, SHOWN) != name:
            word = plain(name, SHOWN)
            problems.append(f"adapters: '{shown}' cannot be called '{word}'; give it another name: NAME={shown}")
        elif name in files:
            other = plain(files[name], SHOWN)
            problems.append(f"adapters: {other} and {shown} are both called '{name}'; give a name: NAME={shown}")
        files[name] = file
    return problems
