package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/redistest"
)

const (
	slots           = 6
	namespacedSlots = 2 // the first ones

	// faultsFor is how long a round has faults. They come fast in most rounds, and so
	// slowly in every third one that everything recovers in between.
	faultsFor  = 10 * time.Second
	usualPause = 300 * time.Millisecond
	longPause  = 2500 * time.Millisecond
)

// campaign is the coordinator's view of everything.
type campaign struct {
	seed   uint64
	broken string
	folder string // of the histories, the server and the disk
	keep   bool   // the folder stays
	disk   string // of the lock files
	lacks  map[string]bool
	server *server // nil where there is none
	slots  []*slot
	report *report

	workers int            // that were started so far
	files   map[int]string // the history of each process of this round
	round   *history
	done    map[string]int // how often each fault was done
	over    atomic.Bool    // the canaries end

	mu   sync.Mutex
	late []lateness // of this process, in this round
	slow []lateness // of the server's answers
}

// newCampaign prepares everything. With mounts it can have a disk of its own.
func newCampaign(seed uint64, broken, keep string, mounts bool) (*campaign, error) {
	redis.SetLogger(quiet{})
	c := &campaign{seed: seed, broken: broken, folder: keep, keep: keep != "", lacks: map[string]bool{}, report: newReport(seed), done: map[string]int{}}
	var err error
	if c.folder == "" {
		if c.folder, err = os.MkdirTemp("", "portalocker-chaos-"); err != nil {
			return nil, err
		}
	}
	if err := c.makeDisk(mounts); err != nil {
		return nil, err
	}
	if err := c.startServer(); err != nil {
		return nil, err
	}
	probe := exec.Command("true")
	probe.SysProcAttr = userNamespace()
	if err := probe.Run(); err != nil {
		c.without(fmt.Sprintf("limits of inotify: no user namespaces: %v", err), fewWatches)
	}
	for n := range slots {
		s := &slot{campaign: c, number: n, namespaced: n < namespacedSlots && !c.lacks[fewWatches]}
		if c.server != nil {
			if s.proxy, err = redistest.ListenProxy(c.server.addr()); err != nil {
				return nil, err
			}
		}
		c.slots = append(c.slots, s)
	}
	return c, nil
}

// makeDisk makes the folder of the lock files, with a disk of its own if that can be
// had.
func (c *campaign) makeDisk(mounts bool) error {
	c.disk = filepath.Join(c.folder, "disk")
	if err := os.MkdirAll(c.disk, 0o777); err != nil {
		return err
	}
	err := errors.New("no rights to mount")
	if mounts {
		err = mountDisk(c.disk)
	}
	if err != nil {
		c.without(fmt.Sprintf("a full disk: %v", err), fillBytes, fillNames)
	}
	return nil
}

// startServer starts the server, if there is one.
func (c *campaign) startServer() error {
	var missing string
	var err error
	if c.server, missing, err = newServer(c.folder); err != nil {
		return err
	}
	switch {
	case c.server == nil:
		c.without(missing, serverKilled, serverEnded, serverStops, clockAhead, clockBehind, linkCut, linkDead, linkSlow, linkClosed)
	case missing != "":
		c.without(missing, clockAhead, clockBehind)
	}
	return nil
}

// without leaves faults out, and says why.
func (c *campaign) without(why string, faults ...string) {
	for _, kind := range faults {
		c.lacks[kind] = true
	}
	c.report.without(why)
}

// run goes through rounds until the time is up, or a check has failed.
func (c *campaign) run(duration time.Duration) error {
	var canaries sync.WaitGroup
	canaries.Go(c.canary)
	canaries.Go(c.kernelCanary)
	if c.server != nil {
		canaries.Go(c.serverCanary)
	}
	defer canaries.Wait()
	defer c.over.Store(true)
	began := time.Now()
	for n := 0; ; n++ {
		if err := c.oneRound(n); err != nil {
			return err
		}
		took := time.Since(began) / time.Duration(n+1)
		if c.report.failed() || time.Since(began)+took/2 > duration {
			return nil
		}
	}
}

// oneRound is faults, a return to order, and checks.
func (c *campaign) oneRound(n int) error {
	began := time.Now()
	if err := c.begin(); err != nil {
		return err
	}
	pause := usualPause
	if n%3 == 2 {
		pause = longPause
	}
	in := &injector{campaign: c, random: rand.New(rand.NewPCG(c.seed, uint64(n)))}
	err := in.run(faultsFor, pause)
	c.heal()
	if err != nil {
		return fmt.Errorf("injecting faults: %w", err)
	}
	if c.everybody("quiet", "come to rest") && c.everybody("sweep", "get every lock once more") && c.everybody("close", "close what is open") {
		if c.server != nil {
			c.serverLitter()
		}
		c.folderLitter()
	}
	if err := c.readHistories(); err != nil {
		return err
	}
	c.round.check(c.report.kinds)
	c.report.round(n, c, time.Since(began))
	return nil
}

// begin starts the workers that are missing, and has all of them begin.
func (c *campaign) begin() error {
	c.files = map[int]string{}
	c.round = &history{processes: map[int]*process{}}
	c.mu.Lock()
	c.late, c.slow = nil, nil
	c.mu.Unlock()
	for _, s := range c.slots {
		if s.process == nil {
			if err := s.start(); err != nil {
				return fmt.Errorf("a worker: %w", err)
			}
		} else {
			if err := os.Truncate(s.history, 0); err != nil {
				return err
			}
			s.process = newProcess(s.process.number, s.number)
			c.round.processes[s.process.number] = s.process
			c.files[s.process.number] = s.history
		}
		s.say("run")
		if err := s.hear("done"); err != nil {
			return fmt.Errorf("worker %d: %w", s.process.number, err)
		}
	}
	return nil
}

// heal lifts whatever may go on.
func (c *campaign) heal() {
	for _, s := range c.slots {
		s.resume()
		if s.namespaced {
			s.say("watches %d", manyWatches)
		}
		if s.proxy != nil {
			s.proxy.Delay(0)
			s.proxy.Heal()
		}
	}
	if c.server != nil {
		c.server.resume()
	}
}

// everybody tells all workers to do something, and waits until they have. That one never
// does is found.
func (c *campaign) everybody(word, meaning string) bool {
	for _, s := range c.slots {
		s.say("%s", word)
	}
	ok := true
	for _, s := range c.slots {
		if err := s.hear("done"); err != nil {
			ok = false
			c.round.add(violation{check: "progress", at: clock(), text: fmt.Sprintf("process %d was to %s: %v", s.process.number, meaning, err)})
			if errors.Is(err, errSilent) {
				s.kill(syscall.SIGQUIT) // it says where its goroutines are
			}
		}
	}
	return ok
}

// readHistories takes up what the workers have written.
func (c *campaign) readHistories() error {
	h := c.round
	for number, file := range c.files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		events, err := parseEvents(data)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		h.read(h.processes[number], events)
		if h.processes[number].reaped != never && !c.keep {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h.processes[0] = newProcess(0, -1)
	h.processes[0].late, h.slow = c.late, c.slow
	return nil
}

// canary takes note of how long this process is kept from running.
func (c *campaign) canary() {
	for !c.over.Load() {
		if by := sleepLate(); by > notable {
			c.tooLate(by)
		}
	}
}

func (c *campaign) tooLate(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = append(c.late, lateness{clock(), int64(by)})
}

// kernelCanary takes note of how long the kernel takes for a grace period of RCU, some
// 20 ms mostly, and seconds where the machine is so busy that the kernel's own threads
// starve. An inotify instance that is refused waits for one, and so does whoever reads
// /proc/locks to name the holder. membarrier(2) has the kernel wait for one.
func (c *campaign) kernelCanary() {
	for !c.over.Load() {
		began := time.Now()
		_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
		if errno != 0 {
			return // a kernel without it, or one that needs no grace periods
		}
		if took := time.Since(began); took > 5*notable {
			c.tooLate(took)
		}
		time.Sleep(5 * notable)
	}
}

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL of linux/membarrier.h.
const membarrierGlobal = 1

// serverCanary takes note of how long the server takes for an answer.
func (c *campaign) serverCanary() {
	rdb := c.server.client()
	defer rdb.Close() //nolint:errcheck // it has only asked
	for !c.over.Load() {
		began := time.Now()
		_ = rdb.Ping(context.Background()).Err() // it may be stopped, or down
		if took := time.Since(began); took > notable {
			c.mu.Lock()
			c.slow = append(c.slow, lateness{clock(), int64(took)})
			c.mu.Unlock()
		}
		time.Sleep(notable / 2)
	}
}

// close ends everything.
func (c *campaign) close() {
	for _, s := range c.slots {
		if s.process != nil && s.process.reaped == never {
			s.kill(syscall.SIGKILL)
		}
		if s.proxy != nil {
			s.proxy.Close()
		}
	}
	if c.server != nil {
		c.server.close()
	}
	_ = syscall.Unmount(c.disk, 0) // it may not be mounted, and vanishes anyway
	if !c.keep {
		_ = os.RemoveAll(c.folder)
	}
}
