"""Counts the cores that this process may use: a container or an affinity may allow fewer than the machine has."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

# https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files: "max 100000", "150000 100000"
# https://docs.kernel.org/scheduler/sched-bwc.html: version 1 has two files, with -1 for no limit
ROOT = Path("/")


def count_cores(root: Path = ROOT) -> int:
    """Count the cores that the affinity and the control groups allow; round a fraction up."""
    count: int | None = getattr(os, "process_cpu_count", os.cpu_count)()  # from Python 3.13 on
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        count = min(count or 1, len(os.sched_getaffinity(0)))
    return max(1, min([count or 1, *map(math.ceil, _read_quotas(root))]))


def _read_quotas(root: Path) -> Iterator[float]:
    """Yield the cores that this process' control group, and each of its parents, may use."""
    with contextlib.suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
            group = Path(path.lstrip("/"))  # a container may not see its group, but it sees the top
            for place in [group, *group.parents]:
                yield from _read_quota(top / place)


def _read_quota(group: Path) -> Iterator[float]:
    with contextlib.suppress(OSError, ValueError):
        if (of_2 := group / "cpu.max").exists():
            quota, period = of_2.read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if float(quota) > 0:  # raises ValueError for "max"
            yield float(quota) / float(period)
