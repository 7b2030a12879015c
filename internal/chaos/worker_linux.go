package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/redislock"
)

// workerVariable says that this process is a worker; its value is a workerConfig.
const workerVariable = "PORTALOCKER_CHAOS_WORKER"

const (
	hands = 6 // goroutines of a worker that ask for locks

	// longestWait is the longest timeout of a request; the last one of a round is
	// patience, for a lock that everybody has to get then.
	longestWait = 8 * time.Second
	patience    = 60 * time.Second

	// hang is how long anything else may take; only what never ends meets it.
	hang = 5 * time.Minute
)

// workerConfig is what a worker is told at its start.
type workerConfig struct {
	Process int
	Seed    uint64
	Folder  string // of the lock files
	History string // the file to write
	Redis   string // the address of its link to the server; "" for no server
	Blind   bool   // may have no inotify instance
	Break   string
}

// worker is a process of the campaign. What it is told comes by lines on its standard
// input: "run", "quiet", "sweep", "close", and answers "done"; "die" and
// "watches N", which it does not answer.
type worker struct {
	workerConfig
	recorder *recorder
	clients  map[redislock.Liveness]client
	kinds    []*kind
	base     leftover
	busy     sync.WaitGroup // the goroutines that ask for locks
	rest     atomic.Bool    // they come to an end
	doomed   atomic.Bool    // the next request kills the process
	seen     atomic.Bool    // the atomic file exists

	mu        sync.Mutex
	next      int            // numbers the requests
	instances map[string]any // the locks that the goroutines share, by kind
	forgotten []func() error // what should have been released, for -break
}

func work(config string) error {
	redis.SetLogger(quiet{})
	w := &worker{kinds: fileKinds(), instances: map[string]any{}}
	if err := json.Unmarshal([]byte(config), &w.workerConfig); err != nil {
		return err
	}
	if w.Redis != "" {
		w.kinds = kinds
	}
	file, err := os.OpenFile(w.History, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w.recorder = &recorder{file: file}
	if w.Blind {
		if err := limitUser("max_inotify_instances", "0"); err != nil {
			return err
		}
	}
	go w.canary()
	lines := bufio.NewScanner(os.Stdin)
	w.base = lookAround()
	fmt.Println("up")
	for lines.Scan() {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		if w.obey(command, argument) {
			fmt.Println("done")
		}
	}
	return file.Close()
}

// obey does what the worker is told, and says whether that is to be answered.
func (w *worker) obey(command, argument string) bool {
	switch command {
	case "watches":
		_ = limitUser("max_inotify_watches", argument) // it may have no descriptor for that just now
		return false
	case "die":
		w.doomed.Store(true)
		return false
	case "run":
		w.connect()
		w.rest.Store(false)
		for hand := range hands {
			w.busy.Go(func() { w.live(rand.New(rand.NewPCG(w.Seed, uint64(w.Process*hands+hand)))) })
		}
	case "quiet":
		w.rest.Store(true)
		w.busy.Wait()
	case "sweep":
		w.sweep()
	case "close":
		if err := w.disconnect(); err != nil {
			w.wrong("closing the clients: %v", err)
		}
		w.breakAtEnd()
		w.base.compare(w)
	}
	return true
}

// live is the life of a goroutine.
func (w *worker) live(r *rand.Rand) {
	for !w.rest.Load() {
		w.turn(w.kinds[r.IntN(len(w.kinds))], r)
		time.Sleep(time.Duration(r.IntN(4_000)) * time.Microsecond)
	}
}

func limitUser(name, value string) error {
	return os.WriteFile("/proc/sys/user/"+name, []byte(value), 0)
}

// canary takes note of how long this process is kept from running: a wait that is too
// long on a machine that is too busy is nobody's fault.
func (w *worker) canary() {
	for {
		if late := sleepLate(); late > notable {
			w.recorder.add(event{kind: "late", fence: int64(late)})
		}
	}
}

// notable is how late a timer must be to be worth a note.
const notable = 20 * time.Millisecond

// sleepLate sleeps for a moment, and says how much longer that took.
func sleepLate() time.Duration {
	const moment = 10 * time.Millisecond
	began := time.Now()
	time.Sleep(moment)
	return time.Since(began) - moment
}

// sweep takes every lock once more, now that nothing is broken: nobody may be left
// behind.
func (w *worker) sweep() {
	r := rand.New(rand.NewPCG(w.Seed, uint64(w.Process)))
	for _, k := range w.kinds {
		if !w.request(k, request{ctx: context.Background(), timeout: patience, random: r}, 0) {
			w.wrong("%s was not to be had though nothing is broken any more", k.name)
		}
	}
	// A reader, to see the last version.
	w.request(kindOf("atomic"), request{ctx: context.Background(), shared: true, random: r}, 0)
}

// die kills this process in the middle of what it does.
func (w *worker) die(after time.Duration) {
	time.Sleep(after)
	w.recorder.add(event{kind: dying})
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func (w *worker) wrong(format string, args ...any) {
	w.recorder.add(event{kind: wrong, text: fmt.Sprintf(format, args...)})
}
