"""A Slurm of two nodes with two make-believe GPUs each, on this machine's loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
SlurmctldPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SchedulerParameters=bf_interval=2,sched_interval=2
ReturnToService=2
KillWait=10
SlurmdTimeout=10
MessageTimeout=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 RealMemory=4000 Gres=gpu:2
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""


def why_not() -> str | None:
    """Return why there can be no Slurm here; None where there can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"Slurm is not installed: no {missing[0]} (Debian: apt-get install slurmctld slurmd slurm-client)"
    return None if os.geteuid() == 0 else "Slurm's daemons are started as root here: make-believe GPUs need mknod"


class SlurmCluster:
    """The cluster in `folder`, from `start` to `end`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        for name in ("state", "log", "spool/n1", "spool/n2"):
            (self.folder / name).mkdir(parents=True)
        for index in range(2):
            os.mknod(self.folder / f"gpu{index}", 0o20666, os.makedev(1, 3 + 2 * index))
        port = _free_ports(3)
        text = _CONF.format(
            host=socket.gethostname().partition(".")[0],
            user="root",
            port=port,
            first=port + 1,
            last=port + 2,
            folder=self.folder,
        )
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu File={self.folder}/gpu[0-1]\n")
        major = int(self.ask("slurmd", "-V").split()[1].split(".")[0])
        if major >= 23:  # which want cgroups unless told otherwise
            (self.folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        self.start_controller("-c")
        for node in ("n1", "n2"):
            self.start_node(node)
        until(lambda: set(self.ask("sinfo", "-h", "-o", "%T").split()) == {"idle"}, 20)

    def start_controller(self, *options: str) -> None:
        self.ask("slurmctld", *options)

    def start_node(self, node: str) -> None:
        self.ask("slurmd", "-N", node)

    def kill(self, daemon: str) -> None:
        """Kill "slurmctld", or "slurmd-n1"."""
        file = self.folder / f"{daemon}.pid"
        process = int(file.read_text())
        os.kill(process, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{process}").exists(), 10)
        file.unlink()

    def end(self) -> None:
        for file in self.folder.glob("*.pid"):
            self.kill(file.stem)

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60, check=False, close_fds=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def queue(self) -> list[str]:
        """Return a line for each task that stands with the cluster: index, state."""
        return sorted(self.ask("squeue", "-h", "--array", "-o", "%K %T").splitlines())


def until(is_so: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(0.1)


def _free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody listens on."""
    for first in range(20000 + 37 * (os.getpid() % 300), 64000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as tried:
                    tried.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")
