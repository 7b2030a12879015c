"""Python portalocker's RedisLock, as the other side of the tests in Go.

    python peer.py PORT CHANNEL [trace]

reads a command a line and answers each with one:

    features              "features shared" or "features"
    new MODE KEY=NUMBER.. a lock, "shared" or "exclusive"; the keys are its arguments
    try                   "got" or "locked", without waiting
    wait SECONDS          the same, within this time
    release               "free"
    crowd SEED SECONDS    takes the lock again and again, as crowd_test.go does

With trace it tells, between the answers, what goes over its connections, in lines
that begin with "trace" and the time of CLOCK_MONOTONIC in nanoseconds.
"""

import json
import os
import random
import sys
import threading
import time

import redis
import redis.client

import portalocker
import portalocker.redis as implementation

port, channel = int(sys.argv[1]), sys.argv[2]
out = threading.Lock()


def say(*words):
    with out:
        os.write(1, (' '.join(str(w) for w in words) + '\n').encode())


def trace(*words):
    say('trace', time.monotonic_ns(), *words)


def text(data):
    return data.decode() if isinstance(data, bytes) else data


def follow():
    """Has redis-py tell what this process says and hears."""
    publish = redis.Redis.publish
    numsub = redis.Redis.pubsub_numsub
    kill = redis.Redis.client_kill_filter
    get = redis.client.PubSub.get_message
    connected = redis.client.PubSub.on_connect

    def traced_publish(self, to, message, **options):
        if to == channel:
            trace('pings', json.loads(message)['response_channel'])
            return publish(self, to, message, **options)
        trace('answers', to, message.replace(' ', ''))
        return publish(self, to, message, **options)

    def traced_numsub(self, *names, **options):
        began = time.monotonic_ns()
        result = numsub(self, *names, **options)
        trace('counts', began, result[0][1])
        return result

    def traced_kill(self, *args, **options):
        trace('kills', *args)
        return kill(self, *args, **options)

    def traced_get(self, *args, **options):
        message = get(self, *args, **options)
        if message and message['type'] == 'message':
            to = text(message['channel'])
            if to != channel:
                trace('hears', to, text(message['data']).replace(' ', ''))
        return message

    def traced_connect(self, connection):
        if self.channels and channel in [text(c) for c in self.channels]:
            trace('resubscribes')
        return connected(self, connection)

    redis.Redis.publish = traced_publish
    redis.Redis.pubsub_numsub = traced_numsub
    redis.Redis.client_kill_filter = traced_kill
    redis.client.PubSub.get_message = traced_get
    redis.client.PubSub.on_connect = traced_connect


connection = redis.Redis(port=port, health_check_interval=10, decode_responses=True)
SHARED = hasattr(implementation, 'RedisLockMode')
TELLS_LOSS = hasattr(implementation.RedisLock, 'ensure_held')


def new(mode, **options):
    # A connection of its own making 4.1 closes after its first attempt, and breaks off
    # when it is pinged at the second: "assert self.connection is not None".
    options['connection'] = connection
    if mode == 'shared':
        options['flags'] = portalocker.LockFlags.SHARED
    if TELLS_LOSS:
        options.update(interrupt_on_lost=False, on_lost=lambda lock: trace('lost'))
    return implementation.RedisLock(channel, **options)


def acquire(lock, **options):
    try:
        lock.acquire(**options)
    except portalocker.AlreadyLocked:
        return False
    return True


def crowd(seed, seconds):
    choose = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        mode = 'shared' if SHARED and choose.random() < 0.4 else 'exclusive'
        hold = choose.uniform(0.001, 0.08)
        lock = new(mode, check_interval=choose.choice([0.05, 0.25]))
        trace('wants', mode, getattr(lock, 'holder_id', '-'))
        try:
            if acquire(lock, timeout=choose.choice([0, 1, 5])):
                trace('got', mode, getattr(lock, 'holder_id', '-'))
                time.sleep(hold)
                trace('free')
            lock.release()
        except KeyboardInterrupt:  # before 4.2 that is how it tells of a loss
            trace('lost')
            lock.release()
        except redis.RedisError as error:
            trace('fails', repr(error))
        time.sleep(choose.uniform(0, 1) if choose.random() < 0.3 else choose.uniform(0, 0.1))
    say('done')


def ended(args):
    trace('thread', repr(args.exc_value))


threading.excepthook = ended
if 'trace' in sys.argv[3:]:
    follow()
lock = None
for line in sys.stdin:
    command, *args = line.split()
    if command == 'features':
        say('features', 'shared' if SHARED else '')
    elif command == 'new':
        lock = new(args[0], **{k: float(v) for k, v in (a.split('=') for a in args[1:])})
        say('ready', getattr(lock, 'holder_id', '-'))
    elif command == 'try':
        say('got' if acquire(lock, timeout=0, fail_when_locked=True) else 'locked')
    elif command == 'wait':
        say('got' if acquire(lock, timeout=float(args[0])) else 'locked')
    elif command == 'release':
        lock.release()
        say('free')
    elif command == 'crowd':
        crowd(int(args[0]), float(args[1]))
