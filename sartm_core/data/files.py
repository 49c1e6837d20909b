"""The name that `images` had: scripts of users import it."""

from sartm_core.data.images import read_image, read_label, read_rgb, read_thermal

__all__ = ["read_image", "read_label", "read_rgb", "read_thermal"]
