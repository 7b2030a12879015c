"""A process that does with one lock of Python portalocker what it is told.

    python peer.py KIND PATH [shared] [limit=N] [interval=SECONDS]

It hears commands on standard input, a line each, and answers on standard output,
in the words of the Go peer (peer_test.go), where they are explained. One command
is only here, for what released versions do wrong:

    pause        from now on, says "unlinking" before it unlinks the lock's file,
                 and goes on when it hears a line
"""

import fcntl
import os
import sys
import time

# No test of files needs redis-py, and without it portalocker starts in half the
# time. Its __init__ takes the ImportError that this leads to.
sys.modules['redis'] = None

import portalocker  # noqa: E402
import portalocker.portalocker as primitives  # noqa: E402
import portalocker.utils as utils  # noqa: E402
from portalocker import LockFlags  # noqa: E402

FOREVER = 3600


def say(*words):
    print(*words, flush=True)


def hear():
    return sys.stdin.readline().strip()


class Waits:
    """Says "waiting" when a lock sleeps for the first time in an acquire.

    All versions sleep with time.sleep after a try that found the lock held.
    """

    def __init__(self):
        self.sleep = time.sleep
        self.told = True
        time.sleep = self

    def __call__(self, seconds):
        if not self.told:
            self.told = True
            say('waiting')
        self.sleep(seconds)


class Lock:
    """What the kinds have in common."""

    def __init__(self, make, interval):
        self.lock = make()
        self.interval = interval

    def attempt(self):
        return self.lock.acquire(timeout=0, fail_when_locked=True)

    def wait(self):
        return self.lock.acquire(FOREVER, self.interval, fail_when_locked=False)

    def release(self):
        self.lock.release()


class PidFile(Lock):
    def attempt(self):
        # It fails at once, as the lock's defaults say, and tells who holds it.
        self.lock.fail_closed().__enter__()
        return self.lock

    def pid(self):
        return self.lock.read_pid()


class Semaphore(Lock):
    def names(self):
        return ' '.join(str(name) for name in self.lock.get_filenames())


class Function:
    """lock() and unlock() on a file that is open; waits in the kernel."""

    def __init__(self, path, flags):
        self.file = open(path, 'a+')
        self.flags = flags

    def attempt(self):
        portalocker.lock(self.file, self.flags | LockFlags.NON_BLOCKING)
        return self.file

    def wait(self):
        try:
            return self.attempt()
        except portalocker.AlreadyLocked:
            say('waiting')
        portalocker.lock(self.file, self.flags)
        return self.file

    def release(self):
        portalocker.unlock(self.file)


class DirectLockf(Function):
    """LockfLocker's methods on a file that is open."""

    def attempt(self):
        locker = primitives.LockfLocker()
        locker.lock(self.file, self.flags | LockFlags.NON_BLOCKING)
        return self.file


class Atomic:
    """open_atomic, in steps, for files of one folder."""

    def __init__(self, folder):
        self.folder = folder

    def open(self, name):
        self.context = portalocker.open_atomic(os.path.join(self.folder, name))
        self.file = self.context.__enter__()

    def write(self, letter, size):
        self.file.write(letter.encode() * int(size))

    def commit(self):
        self.context.__exit__(None, None, None)


def make(kind, path, words, options):
    flags = LockFlags.SHARED if 'shared' in words else LockFlags.EXCLUSIVE
    both = flags | LockFlags.NON_BLOCKING
    interval = float(options.get('interval', 0.05))
    limit = int(options.get('limit', 1))
    folder, name = os.path.split(path)
    if kind == 'lockf':
        primitives.LOCKER = fcntl.lockf
    elif kind == 'lockflocker':
        primitives.LOCKER = primitives.LockfLocker

    if kind == 'lock':
        return Lock(lambda: portalocker.Lock(path, flags=both), interval)
    if kind == 'rlock':
        return Lock(lambda: portalocker.RLock(path, flags=both), interval)
    if kind in ('lockf', 'lockflocker'):
        # fcntl wants a file that can be read for a shared lock.
        return Lock(lambda: portalocker.Lock(path, 'a+', flags=both), interval)
    if kind == 'temporary':
        return Lock(lambda: portalocker.TemporaryFileLock(path), interval)
    if kind == 'pid':
        return PidFile(lambda: portalocker.PidFileLock(path), interval)
    if kind == 'named':
        # Before 4.0.0 it is only here, not in portalocker itself.
        return Semaphore(
            lambda: utils.NamedBoundedSemaphore(limit, name, directory=folder), interval
        )
    if kind == 'named-default-folder':
        return Semaphore(lambda: utils.NamedBoundedSemaphore(limit, name), interval)
    if kind == 'bounded':
        return Semaphore(
            lambda: portalocker.BoundedSemaphore(limit, directory=folder), interval
        )
    if kind == 'function':
        return Function(path, flags)
    if kind == 'directlockf':
        return DirectLockf(path, flags)
    if kind == 'atomic':
        return Atomic(path)
    raise SystemExit(f'no kind {kind}')


def turns(lock, count, limit, folder):
    """Takes the lock again and again, and counts who is inside with it."""
    mine = os.path.join(folder, str(os.getpid()))
    for _ in range(int(count)):
        if not lock.wait():
            raise RuntimeError('the wait gave nothing')
        open(mine, 'x').close()
        inside = os.listdir(folder)
        if len(inside) > int(limit):
            raise RuntimeError(f'{len(inside)} inside')
        os.unlink(mine)
        lock.release()


def pause():
    unlink = os.unlink

    def paused(path, *args, **kwargs):
        say('unlinking')
        hear()
        unlink(path, *args, **kwargs)

    os.unlink = paused


def obey(lock, command, args):
    if command in ('try', 'wait'):
        waits.told = command == 'try'
        got = lock.attempt() if command == 'try' else lock.wait()
        waits.told = True
        return 'ok' if got else 'locked'
    if command == 'turns':
        turns(lock, *args)
    elif command == 'pause':
        pause()
    else:
        said = getattr(lock, command)(*args)
        if said is not None:
            return f'ok {said}'
    return 'ok'


waits = Waits()


def main():
    words = sys.argv[3:]
    options = dict(word.split('=') for word in words if '=' in word)
    lock = make(sys.argv[1], sys.argv[2], words, options)
    while line := hear():
        command, *args = line.split()
        try:
            say(obey(lock, command, args))
        except portalocker.AlreadyLocked as error:
            say('locked', getattr(error, 'holder_pid', None) or '')
        except FileExistsError as error:
            say('exists', error)
        except Exception as error:
            say('error', type(error).__name__, str(error).replace('\n', ' | '))


main()
