"""`sartm`: one command for all that this project does. `sartm COMMAND --help` tells more.

Each line is a module that `python -m MODULE` runs as well; it is imported only when called.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from sartm_core.support import machine
from sartm_core.support.cli import INTERRUPTED
from sartm_core.support.ending import quiet_exit
from sartm_core.support.text import plain

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "see it": {
        "demo": ("sartm_ros.demo", "two synthetic cameras, the node, and a picture of its masks"),
        "view": ("sartm_ros.view", "a local web page: masks of the running node, of a folder or a bag"),
        "browse": ("sartm_core.browse", "the same page for a data set: its labels, with filters"),
        "doctor": ("sartm_core.doctor", "what is installed, what works here, and what to do about the rest"),
        "replay": ("sartm_ros.replay_node", "play a folder or synthetic scenes as two camera topics"),
    },
    "use it": {
        "predict": ("sartm_core.predict", "masks of images, folders, data sets or videos"),
        "node": ("sartm_ros.segment_node", "the ROS 2 node: two camera topics in, masks out"),
        "cameras": ("sartm_ros.cameras", "several camera pairs of one robot, with one model for all"),
        "bag": ("sartm_ros.bag", "recordings: what they hold, masks for them, a data set out of them"),
        "calibrate": ("sartm_ros.calibrate", "where the thermal view lies in the rgb view"),
    },
    "train it": {
        "check-data": ("sartm_core.check_data", "is a data set complete, readable and in place"),
        "train": ("sartm_core.train", "train, or resume a run"),
        "fit-confidence": ("sartm_core.fit_confidence", "make the confidence of weights mean what it says"),
        "ablate": ("sartm_core.ablate", "the ablations of the paper: a grid of trainings and its table"),
    },
    "measure it": {
        "evaluate": ("sartm_core.evaluate", "score weights on labelled frames"),
        "compare": ("sartm_core.compare", "two checkpoints on the same frames: which is better, how surely"),
        "figures": ("sartm_core.figures", "pictures of the paper, and of how a training went"),
        "benchmark": ("sartm_core.benchmark", "how fast the model is on this machine, and how much memory it takes"),
        "benchmark-node": ("sartm_ros.benchmark", "the same for the node, from camera message to mask"),
    },
    "bring and take": {
        "import": ("sartm_core.import_weights", "weights that were trained elsewhere"),
        "export": ("sartm_core.export", "one ONNX or OpenVINO file from frames to class ids"),
        "ros-config": ("sartm_core.ros_config", "parameter files for Nav2, Hydra, nvblox, elevation mapping"),
        "push": ("sartm_core.push", "publish weights on the Hugging Face Hub, with a model card"),
        "labels": ("sartm_core.labels", "labels to an annotation tool (CVAT) and back"),
    },
}
"""Heading -> command -> (module, one line)."""
MODULES = {name: module for group in COMMANDS.values() for name, (module, _) in group.items()}
EXTRAS = {
    "lightning": "train", "tensorboard": "train", "open_clip": "train", "matplotlib": "train", "sklearn": "train",
    "scipy": "calibrate", "skimage": "calibrate", "cv2": "target", "av": "tools", "rosbags": "tools", "aiohttp": "view",
}  # fmt: skip
"""Package that a command may lack -> the extra of setup.py that brings it."""
WRONG_USAGE = 2


def overview() -> str:
    """What `sartm --help` prints."""
    lines = ["usage: sartm COMMAND [options]     (sartm COMMAND --help tells the options)"]
    for heading, group in COMMANDS.items():
        lines += ["", heading, *(f"  {name:<15} {text}" for name, (_, text) in group.items())]
    return "\n".join(lines)


def run(name: str, argv: Sequence[str]) -> int:
    """The exit code of a command."""
    sys.argv = [f"sartm {name}", *argv]
    try:
        module = importlib.import_module(MODULES[name])
        if hasattr(module, "__path__"):  # a room: its command is its __main__
            module = importlib.import_module(f"{MODULES[name]}.__main__")
        code: int = module.main()
    except ModuleNotFoundError as error:
        if not (extra := EXTRAS.get((error.name or "").partition(".")[0])):
            raise
        print(f'{name}: {error.name} is not installed; pip install "sartm_ros[{extra}]"', file=sys.stderr)
        return WRONG_USAGE
    except Exception as error:
        if not (hint := machine.advice(error)):
            raise
        print(f"{name}: {plain(error)}; {hint}", file=sys.stderr)
        return machine.EXIT
    except KeyboardInterrupt:  # before the command could install a handler of its own: imports take seconds
        return INTERRUPTED
    return code


def main(argv: Sequence[str] | None = None) -> int:
    if argv is None:  # the process ends with this
        with quiet_exit():
            return main(sys.argv[1:])
    given = list(argv)
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if given else WRONG_USAGE
    if given[0] == "--version":
        from sartm_core import __version__

        print(f"sartm {__version__}")
        return 0
    name = given[0].replace("_", "-")
    if name not in MODULES:
        near = difflib.get_close_matches(name, MODULES, 1)
        hint = f"did you mean {near[0]}?" if near else "sartm --help lists them"
        print(f"sartm: unknown command {given[0]!r}; {hint}", file=sys.stderr)
        return WRONG_USAGE
    return run(name, given[1:])


if __name__ == "__main__":
    raise SystemExit(main())
