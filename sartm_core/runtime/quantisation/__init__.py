"""A network in int8: quantised by frames, judged on others, kept. OpenVINO networks, by way of NNCF."""
