"""A process tree with mounts, process ids and networks of its own.

Everything that a run makes (network namespaces, volumes, processes) lives inside, so all of it is
gone when the run is, also after kill -9.
"""
import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWUSER = 0x20000, 0x20000000, 0x40000000, 0x10000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """What the machine does not offer; the run fails with it."""


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _call(name, *arguments):
    if getattr(_libc, name)(*arguments) != 0:
        raise Unavailable(f"{name}: {os.strerror(ctypes.get_errno())}")


def command(*arguments, text=None):
    """Runs a program of the system; Unavailable if it is missing or fails."""
    try:
        run = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unavailable(f"{arguments[0]} is not installed") from None
    if run.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, arguments))}: {(run.stderr or run.stdout).strip()}")
    return run.stdout


def _become_root():
    """Without privileges: root in a user namespace, enough for networks, not for loop devices."""
    user, group = os.getuid(), os.getgid()
    _call("unshare", CLONE_NEWUSER)
    for name, line in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"),
                       ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as out:
            out.write(line)


def _settle_inside():
    die_with_parent()
    _call("unshare", CLONE_NEWNS | CLONE_NEWNET)
    command("mount", "--make-rprivate", "/")
    command("mount", "-t", "proc", "proc", "/proc")
    os.makedirs("/run/netns", exist_ok=True)
    for folder in ("/run/netns", "/dev/shm"):
        command("mount", "-t", "tmpfs", "tmpfs", folder)


def run(main):
    """Runs main() in a sandbox and returns its exit status. Signals to stop are passed on."""
    try:
        if os.geteuid() != 0:
            _become_root()
        _call("unshare", CLONE_NEWPID)
    except (Unavailable, OSError) as error:
        print(f"chaos: namespaces cannot be made here: {error}", file=sys.stderr)
        return 2
    child = os.fork()
    if child == 0:
        status = 2
        try:
            _settle_inside()
            status = main()
        except Unavailable as error:
            print(f"chaos: not possible here: {error}", file=sys.stderr)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 2
        except BaseException:  # the interpreter below this fork must not run on
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, frame: os.kill(child, n))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status >= 0 else 128 - status
