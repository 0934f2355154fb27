"""Reaches for processes that are not its own. Arguments: what, and the number of a process outside."""

import ctypes
import os
import resource
import signal
import sys


def tried(name, what):
    try:
        what()
        print(f"{name}=0")
    except (OSError, ValueError) as error:
        print(f"{name}={getattr(error, 'errno', 255) or 255}")


def child():
    number = os.fork()
    if number == 0:
        signal.pause()
        os._exit(0)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)


def main():
    what, other = sys.argv[1], int(sys.argv[2])
    if what == "trace":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace(0, 0, 0, 0)
        print("alive")
        return
    if what == "descriptors":
        for _ in range(100000):
            os.dup(0)
        return
    tried("signal", lambda: os.kill(other, signal.SIGCONT))
    tried("end", lambda: os.kill(other, signal.SIGKILL))
    tried("end_the_group", lambda: os.killpg(other, signal.SIGKILL))
    tried("end_the_parent", lambda: os.kill(os.getppid(), signal.SIGKILL))
    tried("end_by_handle", lambda: signal.pidfd_send_signal(os.pidfd_open(other), signal.SIGKILL))
    tried("limit", lambda: resource.prlimit(other, resource.RLIMIT_NOFILE, (3, 3)))
    tried("slow_down", lambda: os.setpriority(os.PRIO_PROCESS, other, 19))
    tried("slow_down_all", lambda: os.setpriority(os.PRIO_USER, 0, 19))
    tried("bind", lambda: os.sched_setaffinity(other, {0}))
    tried("end_all", lambda: os.kill(-1, signal.SIGKILL))
    tried("own_limit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    tried("own_child", child)


if __name__ == "__main__":
    main()
