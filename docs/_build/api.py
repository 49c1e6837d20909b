"""The pages of the Python API: which objects are shown where. Their text is their docstrings, read without importing."""

from __future__ import annotations

PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "segmenter": (
        "Segmenter",
        "Frames in, masks out: what a robot, a script or a notebook uses. `from sartm_core import Segmenter, FramePair`.",
        ("runtime.segmenter.Segmenter", "runtime.batching.FramePair", "runtime.result.SegmentationResult",
         "preprocess.registration.Registration"),
    ),
    "model": (
        "Model",
        "The network. `from sartm_core import SARTM, ModelConfig`. How the parts fit together: [design](../design.md).",
        (
            "model.sartm.SARTM",
            "model.sartm.SARTMOutput",
            "model.info.ModelInfo",
            "model.config.ModelConfig",
            "model.encoder",
            "model.trunks.timm",
            "model.trunks.pretrained",
            "model.trunks.hiera",
            "model.lora",
            "model.fusion",
            "model.mask_decoder",
            "model.aux_heads",
            "model.aux_heads.fpn",
            "model.aux_heads.deeplab",
            "model.aux_heads.segformer",
        ),
    ),
    "checkpoints": (
        "Checkpoints",
        "Weights in and out of files. A checkpoint is one `.safetensors` file with everything needed to use it.",
        (
            "model.checkpoint.save",
            "model.checkpoint.load",
            "model.checkpoint.load_sam2",
            "model.load_report.LoadReport",
            "model.stored.read_metadata",
            "model.checkpoint.sha256",
        ),
    ),
    "preprocessing": (
        "Preprocessing",
        "From camera arrays to tensors: the same code in training, in evaluation and on the robot.",
        (
            "preprocess.config",
            "preprocess.prepare",
            "preprocess.normalise",
            "preprocess.thermal",
            "preprocess.resize",
            "preprocess.camera",
            "preprocess.parallax",
            "preprocess.registration_file",
        ),
    ),
    "scene": (
        "Scene",
        "What a robot makes of a mask: objects with temperatures, hot spots, labelled clouds, pictures for other programs.",
        (
            "scene.objects",
            "scene.temperature",
            "scene.hot_spots",
            "scene.cloud",
            "scene.pictures",
            "scene.run_length",
            "scene.components",
        ),
    ),
    "losses": (
        "Losses",
        "The objective L = w0 L_seg(S~0) + w1 L_seg(S~1) + w2 L_cr + w3 L_se and its terms, one a file.",
        (
            "losses.objective",
            "losses.ohem",
            "losses.ce",
            "losses.prototypes",
            "losses.consistency",
            "losses.semantic",
            "losses.teachers.text",
        ),
    ),
    "data": (
        "Data, metrics, pictures",
        "Data sets on disk, synthetic scenes, scores, and masks as pictures.",
        (
            "data.datasets.open_dataset",
            "data.datasets.open_pairs",
            "data.pairs.Pairs",
            "data.pairs.Sample",
            "support.classes.LabelSet",
            "synthetic.scenes.render_scene",
            "synthetic.scenes.drive",
            "synthetic.scenes.Scene",
            "synthetic.config.SceneConfig",
            "evaluate.metrics",
            "support.visualize",
        ),
    ),
}
"""File name -> title, first sentence, objects below `sartm_core`."""


def page(name: str) -> str:
    """A page: its sentence, then one mkdocstrings block for each object."""
    title, text, objects = PAGES[name]
    return f"# {title}\n\n{text}\n\n" + "\n".join(f"::: sartm_core.{path}\n" for path in objects)
