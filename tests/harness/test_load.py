"""Shares of the processors' time and what of them is ours, from planted counters and folders."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.surroundings.cores import find_cores, memory_limit_bytes
from harness.surroundings.load import LoadMeter, busiest_others
from planted import plant

linux = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="reads what Linux tells")


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of four logical processors on two cores, of which this process may use 1 to 3."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 2, 3}, raising=False)
    topology = {
        f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}" for n in range(4)
    }
    return plant(tmp_path, {"sys/devices/system/cpu/online": "0-3\n", **topology})


class Counters:
    """Seconds that a system has counted; all processors alike but the first, which is not ours."""

    def __init__(self) -> None:
        self.user = self.steal = self.idle = self.own = 0.0

    def processors(self) -> list[Any]:
        ours = SimpleNamespace(user=self.user, system=0.0, idle=self.idle, steal=self.steal)
        return [SimpleNamespace(user=1e6, system=0.0, idle=0.0, steal=1e6), ours, ours, ours]

    def add(self, user: float, steal: float, idle: float, own: float) -> None:
        self.user, self.steal, self.idle, self.own = (
            self.user + user,
            self.steal + steal,
            self.idle + idle,
            self.own + own,
        )


def meter(root: Path, counters: Counters) -> LoadMeter:
    return LoadMeter(root, processors=counters.processors, own_seconds=lambda: counters.own)


def test_shares_are_of_what_we_may_use(four: Path) -> None:
    """Three processors, 10 s each: 12 s busy of which 9 are ours, 3 s stolen; the fourth does not count."""
    counters = Counters()
    counters.add(50, 5, 500, 3)
    load = meter(four, counters)
    assert load.shares() == (None, "first look")
    counters.add(user=4, steal=1, idle=5, own=9)
    assert load.shares() == ({"own": 0.3, "others": 0.1, "steal": 0.1}, None)


def test_under_a_quota_our_share_is_of_the_quota(four: Path) -> None:
    """With 1.5 processors granted, 9 s of own time in 10 s are 0.6 of what we could have had."""
    plant(four, {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"})
    counters = Counters()
    counters.add(1, 0, 1, 0)
    load = meter(four, counters)
    load.shares()
    counters.add(user=4, steal=0, idle=6, own=9)
    shares, _reason = load.shares()
    assert shares == {"own": 0.6, "others": 0.1, "steal": 0.0}


def test_a_look_too_soon_loses_nothing(four: Path) -> None:
    """It gives a reason, and the next look covers its time, too."""
    counters = Counters()
    counters.add(1, 0, 1, 0)
    load = meter(four, counters)
    load.shares()
    counters.add(user=0.1, steal=0, idle=0, own=0)
    shares, reason = load.shares()
    assert shares is None
    assert "less than" in str(reason)
    counters.add(user=0, steal=0, idle=0.9, own=0)
    shares, _reason = load.shares()
    assert shares == {"own": 0.0, "others": 0.1, "steal": 0.0}


def test_a_system_that_counts_nothing_is_unknown(four: Path) -> None:
    """Some sandboxes show zeros throughout."""
    assert meter(four, Counters()).shares() == (None, "the system does not count its processors' time")


def test_our_own_work_is_not_taken_for_others(tmp_path: Path) -> None:
    """The real counters: a child of ours that computes is ours, and the shares are shares."""
    load = LoadMeter()
    load.shares()
    subprocess.run(
        [sys.executable, "-c", "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"],
        check=True,
    )
    shares, reason = load.shares()
    if shares is None:
        pytest.skip(f"nothing is counted here: {reason}")
    assert shares["own"] > 0
    assert all(0 <= share <= 1 for share in shares.values())


def test_the_busiest_of_the_others_are_named() -> None:
    """Neither this process nor its children are among them."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        time.sleep(0.1)
        found = busiest_others(0.3, at_least=0.0)
        child.kill()
    assert not {os.getpid(), child.pid} & {pid for _name, pid, _share in found}
    assert [share for _name, _pid, share in found] == sorted((share for *_, share in found), reverse=True)


@linux
@pytest.mark.parametrize(
    ("files", "mhz"),
    [
        ({f"sys/devices/system/cpu/cpu{n}/cpufreq/scaling_cur_freq": f"{(n + 1) * 10**6}" for n in range(4)}, 3000.0),
        (
            {"proc/cpuinfo": "flags\t: fpu aperfmperf sse\n" + "cpu MHz\t\t: 1000.0\ncpu MHz\t\t: 2000.0\n" * 2},
            5000 / 3,
        ),
        ({"proc/cpuinfo": "flags\t: fpu hypervisor\n" + "cpu MHz\t\t: 2596.098\n" * 4}, None),
        ({}, None),
    ],
    ids=["cpufreq", "counted", "nominal", "nothing"],
)
def test_a_clock_is_measured_or_none(four: Path, files: dict[str, str], mhz: float | None) -> None:
    """The mean over our processors; a virtual machine's constant is not a measurement."""
    found = LoadMeter(plant(four, files)).cpu_mhz()
    assert found == (None if mhz is None else pytest.approx(mhz))


def test_siblings_are_one_core(four: Path) -> None:
    """1 and 3 share one, 2 has the other: two cores for three logical processors."""
    cores = find_cores(four)
    assert (cores.online, cores.allowed, cores.physical, cores.usable) == ((0, 1, 2, 3), (1, 2, 3), 2, 3.0)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/0123\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n0::/a\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/unified/a/cpu.max": "150000 100000\n",
            },
            1.5,
        ),
        ({}, None),
    ],
    ids=["none", "half", "of the parent", "version 1 as the host names it", "version 1 without", "both", "not Linux"],
)
def test_the_narrowest_quota_holds(four: Path, files: dict[str, str], quota: float | None) -> None:
    """In either version of control groups, with or without a namespace of their own."""
    assert find_cores(plant(four, files)).quota == quota


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                "proc/self/cgroup": "0::/a\n",
                "sys/fs/cgroup/a/memory.max": "1000\n",
                "sys/fs/cgroup/a/memory.current": "600\n",
                "sys/fs/cgroup/a/memory.stat": "anon 100\ninactive_file 400\n",
            },
            (1000, 200),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/a\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000\n",
                "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "600\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "900\n",
            },
            (1000, 600),
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/a\n",
                "sys/fs/cgroup/a/memory.max": "1000\n",
                "sys/fs/cgroup/a/memory.current": "100\n",
                "sys/fs/cgroup/memory.max": "2000\n",
                "sys/fs/cgroup/memory.current": "1900\n",
            },
            (2000, 1900),
        ),
        ({}, None),
    ],
    ids=["version 2", "version 1", "unlimited", "a fuller parent", "not Linux"],
)
def test_a_limit_on_memory_is_seen(tmp_path: Path, files: dict[str, str], expected: tuple[int, int] | None) -> None:
    """Cached files can be dropped and do not count as used; a limit of 2**63 is none."""
    assert memory_limit_bytes(plant(tmp_path, files)) == expected
