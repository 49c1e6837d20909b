"""The soak: hours of trouble in minutes, over real DDS (docs/reliability.md). `python -m test.soak`, or `make soak`.

slow.py a model slower than the cameras | fuzz.py hostile messages | faults.py killed cameras, bad weights
startstop.py signals and exit codes     | every part is a function that returns an `Outcome`
"""
