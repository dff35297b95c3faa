"""Which run goes on which device: in their order, a failed one elsewhere, and none where they only fail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from bench.execution.devices import device_type
from bench.execution.failures import blames_device
from bench.execution.jobs import Job
from bench.runs.folder import Failure

FAILURES_IN_A_ROW = 2  # of different runs, after which a device is taken out


class Placement:
    """The runs that wait, in the order in which they are wanted, and the slots that are free for them."""

    def __init__(self, jobs: Sequence[Job], slots: Sequence[str]) -> None:
        self.waiting = list(jobs)
        self._free = list(slots)
        self._takes = Counter(slots)  # how many runs each device takes at a time; a device taken out is not in it
        self._failed: defaultdict[str, set[str]] = defaultdict(set)  # the runs that failed on it, one after another

    def next(self) -> tuple[Job, str] | None:
        """Take the next run that waits and a slot for it; None when there is no such pair now."""
        for slot in self._free:
            for job in self._candidates(slot):
                self.waiting.remove(job)
                self._free.remove(slot)
                return job, slot
        return None

    def ended(self, job: Job, failure: Failure | None) -> list[str]:
        """Free the slot of a run that is through or failed; returns what that changes for its device, in words."""
        device = str(job.device)
        job.avoid = device
        if device not in self._takes:
            return []
        self._free.append(device)
        if job.outcome == "taken":  # which says nothing of the device
            return []
        if failure is None or not blames_device(failure):
            self._failed[device].clear()
            return []
        if failure.kind == "memory" and self._takes[device] > 1:
            self._takes[device] -= 1
            self._free.remove(device)
            job.avoid = None  # there is more room for it now
            left = self._takes[device]
            return [f"{device} takes {left} at a time from now on: memory seems to have run out there"]
        self._failed[device].add(job.spec.name)
        well = any(not self._failed[other] for other in self._takes if other != device)
        if len(self._failed[device]) < FAILURES_IN_A_ROW or not well:
            return []
        del self._takes[device]
        self._free = [slot for slot in self._free if slot != device]
        return [f"{device} is taken out: {FAILURES_IN_A_ROW} runs in a row failed there, and not elsewhere"]

    def again(self, job: Job) -> None:
        """Let a failed run wait for another attempt: the next one elsewhere, or after all others where it was."""
        first = job.avoid is not None and self._elsewhere(job.avoid)
        self.waiting.insert(0 if first else len(self.waiting), job)

    def _candidates(self, slot: str) -> list[Job]:
        """Return the waiting runs that may go on `slot`, in the order of preference."""
        jobs = self.waiting
        types = list(dict.fromkeys(map(device_type, self._takes)))
        if len(types) > 1:
            jobs = self._worth_while(device_type(slot), types)
        elsewhere = self._elsewhere(slot)
        return [job for job in jobs if not (elsewhere and job.avoid == slot)]

    def _worth_while(self, own: str, types: Sequence[str]) -> list[Job]:
        """Return the waiting runs that a type of device should take where there are several.

        Slow devices (the CPU beside a GPU) begin with the shortest, and leave a run alone that the fast ones would
        have done sooner, with all the rest: else everything waits in the end for a slow one's long run. A run that
        failed on another device is taken all the same.
        """
        work = {name: sum(job.seconds.get(name, 0.0) for job in self.waiting) for name in types}
        fastest = min(work, key=lambda name: work[name])
        if own == fastest:
            return self.waiting
        rest = work[fastest] / sum(takes for device, takes in self._takes.items() if device_type(device) == fastest)
        return [job for job in reversed(self.waiting) if job.avoid or job.seconds.get(own, 0.0) <= rest]

    def _elsewhere(self, device: str) -> bool:
        """Tell whether another device than `device` still takes runs."""
        return any(other != device for other in self._takes)
