"""Names of what comes beside the two cameras, as the node's code calls these topics."""

RGB_INFO, THERMAL_INFO, DEPTH = "rgb/camera_info", "thermal/camera_info", "depth/image_raw"
