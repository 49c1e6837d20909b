"""Trunks by family: one file each, and one line here. A family turns a backbone's name into `EncoderParts`.

At inference a trunk runs as it is, a copy for each modality, unless `runtime/graph/trunks` has something faster for it.
"""

FAMILIES = {
    "timm:": "timm.build",
    "": "hiera.build",
}
"""What a backbone's name begins with -> file here and its function of a ModelConfig; the first that fits counts."""
PREFIXES = tuple(filter(None, FAMILIES))
