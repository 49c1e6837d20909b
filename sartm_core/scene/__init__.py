"""What a robot makes of a mask: objects and how warm they are, hot spots, labelled clouds, pictures for consumers.

Numpy alone, and nothing of ROS: `sartm_ros` puts what these files give into messages.
"""
