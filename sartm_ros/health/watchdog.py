"""Whether masks come of the frames that go to the model. Plain Python.

The model's thread notes in `Work` when it begins and what came of it; the executor's thread asks `verdict` regularly.
A frame that is given to the model and gets no answer (mask, failure, refusal) in time means that it hangs, be it in
this node's batch or in another one's before it.
"""

from __future__ import annotations

from sartm_ros.health.work import Work

FAILURES = 3
"""So many jobs in a row without a mask, at least, before the model counts as failing."""
FAILING_S = 2.0
"""And so many seconds."""
HANGS = "no masks: the model does not answer"
FAILS = "no masks: the model fails"
COMPILING = "compiling for {}"
"""Texts of the `state` topic; the last one with the size WxH."""
LOADS = "no masks: new weights are being loaded"
RELOADING = "~/reload takes time from the model; nothing is to be done"
"""The text while masks wait for it, and the cause."""


class Watchdog:
    """Looks at `work`. All times are monotonic seconds."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._asked: float | None = None
        self._compiled = 0.0

    def restart(self) -> None:
        """A new activation: what went before does not count."""
        self._asked = None
        self._work.restart()

    def verdict(
        self, fed: float, served: bool, now: float, compiling: str = "", reloading: bool = False
    ) -> tuple[str, str]:
        """State and cause when no masks come of the frames, else two empty texts.

        fed: when the last frames were given to the model. served: whether anybody listens; else nothing is computed.
        compiling: the size for which a network is being compiled. reloading: other weights are being loaded.
        """
        seen = self._work.progress()
        if not served or fed <= seen.answered:
            self._asked = None
        elif self._asked is None or self._asked <= seen.answered:
            self._asked = fed
        if not served:
            return "", ""
        if compiling:
            self._compiled = now
            return COMPILING.format(compiling), (
                "the frames have an aspect that is new to the engine; masks come once its network is made, "
                "and that is kept"
            )
        if seen.failures >= FAILURES and now - seen.failing_since >= FAILING_S:
            return FAILS, f"the model failed {seen.failures} times in a row, the last time with {seen.last_failure}"
        waiting = now - max(self._compiled, min(self._asked or now, seen.busy_since or now))
        if waiting > seen.patience_s and reloading:
            return LOADS, RELOADING
        if waiting > seen.patience_s:
            usual = f" (it usually takes {seen.usual_s:.2g} s)" if seen.usual_s else ""
            return HANGS, (
                f"the model has not answered for {waiting:.0f} s{usual}; the masks go on by themselves when it does, "
                "else look at its device (load of the CPU, the GPU's driver) and restart the node"
            )
        return "", ""
