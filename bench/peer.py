"""The Python peers, as children of the benchmarks.

Argument: the task, in JSON (type task in child.go). Standard input and output: one
JSON value a line, as type link does it. The roles do what the Go roles of the same
name do; python.go says which there are.
"""
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time

PORTALOCKER = 'Python portalocker'
FILELOCK = 'Python filelock'

task = json.loads(sys.argv[1])
path = task.get('Path', '')


def say(value):
    sys.stdout.write(json.dumps(value) + '\n')
    sys.stdout.flush()


def hear():
    """The next message; None at the end of the pipe."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def monotonic():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def open_lock():
    """A lock with default options, but for the end of its patience."""
    if task['Who'] == FILELOCK:
        import filelock

        return filelock.FileLock(path)  # waits for ever, tries every 50 ms
    if task['Who'] == PORTALOCKER:
        import portalocker

        return portalocker.Lock(path, timeout=3600)  # tries every 250 ms
    raise SystemExit(f'nobody is called {task["Who"]!r}')


def uncontended():
    lock = open_lock()

    def measure(seconds):
        begin, pairs = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            for _ in range(200):
                lock.acquire()
                lock.release()
            pairs += 200
        return (time.perf_counter() - begin) / pairs

    seconds = task['Time'] / 1e9
    measure(seconds / 10)
    say(measure(seconds) * 1e9)


def holder():
    lock = open_lock()
    while hear() is not None:
        lock.acquire()
        say({})
        hear()
        at = monotonic()
        lock.release()
        hear()
        say(at)


def waiter():
    lock = open_lock()
    while hear() is not None:
        say({})
        lock.acquire()
        at = monotonic()
        lock.release()
        say(at)


def slots():
    import portalocker

    directory, name = os.path.split(path)

    def semaphore():
        return portalocker.NamedBoundedSemaphore(task['N'], name, directory=directory)

    # It looks at the slots in their order, so the middle one takes as long as one on
    # average does. To take the others by semaphores would take minutes.
    filenames = list(semaphore().get_filenames())
    del filenames[len(filenames) // 2]
    held = [portalocker.Lock(filename) for filename in filenames]
    for lock in held:
        lock.acquire()
    times = []
    for _ in range(20):
        begin = time.perf_counter_ns()
        s = semaphore()
        s.acquire()
        s.release()
        times.append(time.perf_counter_ns() - begin)
    say(statistics.median(times))


def versions():
    say(
        ['Python ' + platform.python_version()]
        + ['Python ' + name + ' ' + importlib.metadata.version(name) for name in ('portalocker', 'filelock')]
    )


{f.__name__: f for f in (uncontended, holder, waiter, slots, versions)}[task['Role']]()
