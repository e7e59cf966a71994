"""What machine this is, and who else used it while something was measured."""
import os
import pathlib
import platform
import re
import resource
import subprocess
import time

from systems import ROOT

TICKS = os.sysconf("SC_CLK_TCK")
# More than this share of the machine's time used by others: the measurement is marked.
OTHERS_MAX = 0.05


def first_line(*command):
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    except OSError:
        return "not there"
    return (run.stdout or run.stderr).split("\n")[0].strip()


def package(name):
    return first_line("dpkg-query", "-W", "-f", "${Version}", name)


def facts(options):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no")
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {cpu.group(1) if cpu else platform.machine()}, "
                   f"{memory / 2 ** 30:.0f} GiB, {platform.system()} {platform.release()}",
        "commit": first_line("git", "rev-parse", "--short=12", "HEAD")
                  + (" and changes" if changed else ""),
        "etcd": first_line("etcd", "--version"), "redis": first_line("redis-server", "--version"),
        "nginx": first_line("nginx", "-v"),
        **{name: package(name) for name in ("libh2o-evloop0.13", "librocksdb7.8", "wrk",
                                            "nghttp2-client")},
        "load": os.getloadavg()[0], **options}


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def settle(pids, seconds=10):
    """Waits until these processes have done what others have left them with: until they take less
    than a tenth of a core, but no longer than `seconds`."""
    deadline = time.monotonic() + seconds
    before = cpu_seconds(pids)
    while pids and time.monotonic() < deadline:
        time.sleep(0.2)
        now = cpu_seconds(pids)
        if now - before <= 0.02:
            return
        before = now


def kernel_threads():
    """Writing to the disk takes their time, whoever wrote."""
    return [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/stat")
            if has_parent(path, "2")]


def has_parent(path, parent):
    try:
        return path.read_text().rsplit(")", 1)[1].split()[1] == parent
    except OSError:
        return False


class Watch:
    """Divides the machine's time, from its making to `result`, into that of the system measured,
    of the generator and ourselves, of the kernel's own threads, and of others."""

    def __init__(self, pids):
        self.pids, self.kernel = pids, kernel_threads()
        self.load = os.getloadavg()[0]
        self.start = self.times()

    def times(self):
        fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]
        user, nice, system, _, _, _, _, steal = (int(n) / TICKS for n in fields[:8])
        own = sum(sum(resource.getrusage(who)[:2])
                  for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return (time.monotonic(), user + nice + system, cpu_seconds(self.pids), own,
                cpu_seconds(self.kernel), steal)

    def result(self):
        elapsed, busy, system, own, kernel, steal = (
            after - before for after, before in zip(self.times(), self.start))
        available = elapsed * os.cpu_count()
        others = max(0, busy - system - own - kernel) / available
        return {"load_before": round(self.load, 2), "others": round(others, 3),
                "steal": round(steal / available, 3), "kernel_cpu": round(kernel / elapsed, 2),
                "system_cpu": round(system / elapsed, 2),
                "generator_cpu": round(own / elapsed, 2), "loaded": others > OTHERS_MAX}
