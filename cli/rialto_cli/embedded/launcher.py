"""Start one program so that it cannot outlive the process that started it.

Run as a script, by path: `python -I -S launcher.py PARENT_PID DEATH_SIGNAL ACCOUNT PROGRAM [ARGUMENT ...]`. It becomes
PROGRAM through exec, so the process id stays. ACCOUNT is `-`, or `UID:GID` to give up root for PROGRAM.

It imports only the standard library and nothing of ours: it runs before every child, so its start time counts.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
LINUX_CAPABILITY_VERSION_3 = 0x20080522
# The conventional exit status of a shell for a command that could not be run.
CANNOT_RUN = 127


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _checked(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _held_capabilities(libc: ctypes.CDLL) -> int:
    """The permitted set, as a bit mask of the first 32 capabilities."""
    header, data = _Header(LINUX_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    _checked(libc.capget(ctypes.byref(header), data), "capget")
    return int(data[0].permitted)


def _keep_only(libc: ctypes.CDLL, capability: int) -> None:
    mask = 1 << capability
    header, data = _Header(LINUX_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    data[0] = _Data(mask, mask, mask)
    _checked(libc.capset(ctypes.byref(header), data), "capset")
    _checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl(PR_CAP_AMBIENT)")


def _become(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Give up root, but keep the right to pass through directories that only root may enter.

    PostgreSQL refuses to run as root, while its data or its program may lie below a 0700 directory such as root's
    home. So one capability stays, through exec (ambient): read and search (or, in a container that withholds that one,
    DAC_OVERRIDE). SECBIT_NO_SETUID_FIXUP matters as well: without it access(2), which PostgreSQL calls on its own
    program, drops every capability of a caller whose real uid is not 0.
    """
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    if not sys.platform.startswith("linux"):
        os.setuid(uid)
        return
    held = _held_capabilities(libc)
    kept = next((c for c in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if held & (1 << c)), None)
    if kept is not None:
        _checked(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")
    os.setresuid(uid, uid, uid)
    if kept is not None:
        _keep_only(libc, kept)


def main(arguments: list[str]) -> None:
    parent, death_signal, account, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if account != "-":
        uid, gid = account.split(":")
        _become(libc, int(uid), int(gid))
    if sys.platform.startswith("linux"):
        # After the change of uid, which clears it.
        _checked(libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent):
        # The parent died before the line above took effect: nobody would ever end this process.
        raise SystemExit(CANNOT_RUN)
    # Python ignores SIGPIPE and the parent may block others; the program starts with the defaults.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.execv(command[0], command)  # noqa: S606 - the whole point: no shell, the same process id


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"cannot start {sys.argv[4]}: {error}\n")
        raise SystemExit(CANNOT_RUN) from error
