"""Uses more and more of one thing, and tells how much it got and what stopped it."""

import os
import resource
import signal
import sys

MIB = 1024 * 1024


def told(count, error):
    name = type(error).__name__ if isinstance(error, MemoryError) else error.errno
    print(count, name, flush=True)


def until(most, take):
    count = 0
    try:
        while count < most:
            take(count)
            count += 1
    except (OSError, MemoryError) as error:
        return count, error
    return count, None


def processes(most):
    children = []

    def fork(_):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        children.append(child)

    count, error = until(most, fork)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return count, error


def memory(most):
    held = []
    return until(most, lambda _: held.append(bytearray(b"x" * MIB)))


def file(path, most):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open(path, "wb", buffering=0) as opened:
        return until(most, lambda _: opened.write(b"x" * MIB) == MIB or opened.write(b"x"))


def disk(folder, most):
    def fill(number):
        with open(f"{folder}/{number}", "wb", buffering=0) as opened:
            written = opened.write(b"x" * MIB)
            if written < MIB:
                opened.write(b"x" * (MIB - written))

    return until(most, fill)


def names(folder, most):
    return until(most, lambda number: os.close(os.open(f"{folder}/{number}", os.O_CREAT)))


def raised(_):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))


WHAT = {
    "processes": lambda: processes(5000),
    "few_processes": lambda: processes(20),
    "memory": lambda: memory(100000),
    "some_memory": lambda: memory(64),
    "file": lambda: file(os.path.expanduser("~/file"), 1000),
    "small_file": lambda: file(os.path.expanduser("~/file"), 2),
    "descriptors": lambda: until(100000, lambda _: os.dup(0)),
    "few_descriptors": lambda: until(50, lambda _: os.dup(0)),
    "disk": lambda: disk("/tmp", 10000),
    "shared": lambda: disk("/dev/shm", 10000),
    "names": lambda: names("/tmp", 200000),
}

if sys.argv[1] == "raise":
    try:
        raised(0)
        print("0 raised")
    except (OSError, ValueError):
        print("0 refused")
    sys.exit(0)
count, error = WHAT[sys.argv[1]]()
if error is None:
    print(count, "all")
else:
    told(count, error)
