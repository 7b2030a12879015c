package redislock_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

var (
	historySeed      = flag.Uint64("history.seed", 0, "seed of the first round of TestHistory; 0 takes a random one")
	historyDuration  = flag.Duration("history.duration", 8*time.Second, "how long TestHistory runs, in rounds of some seconds")
	historyBreak     = flag.String("history.break", "", "break a rule of the scripts in TestHistory, which must then fail")
	historyMutations = flag.Bool("history.mutations", false, "break each rule of the scripts in turn, not only some")
)

const (
	slots = 7

	// roundLength is how long faults are injected, before a round comes to its end
	// and is checked. Porcupine's memory grows with the square of it.
	roundLength = 5 * time.Second

	// hang is how long the end of a round may take at each step; only what never ends
	// meets it. Where the scripts are broken that is to be expected.
	hang       = 30 * time.Second
	brokenHang = 8 * time.Second

	checkTimeout = time.Minute

	// brokenRounds is how many rounds have a chance to find a broken rule. Some rules
	// matter only where two things come together.
	brokenRounds = 12
)

// TestHistory has many processes acquire, hold and release locks, in all modes,
// while processes, links and the server are broken in every way, and checks the
// history of what they saw and of what the server had.
func TestHistory(t *testing.T) {
	seed := *historySeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	length := roundLength
	if testing.Short() {
		length = 2 * time.Second
	}
	for end := time.Now().Add(*historyDuration); ; seed++ {
		r := newRound(t, seed, *historyBreak)
		r.run(length, false)
		t.Logf("seed %d, TTL %v: %s", seed, r.ttl, r.statistics())
		if r.v.failed() {
			t.Fatalf("the history is not right; again with: go test ./redislock -run '^TestHistory$' -history.seed %d\nkept in %s\n%v", seed, r.keep(t), r.v)
		}
		if time.Until(end) < length/2 {
			return
		}
	}
}

// TestHistoryFindsBrokenScripts shows that TestHistory can fail: it breaks a rule of
// the scripts, and something must notice. By default it tries a few rules that show
// quickly; -history.mutations tries all.
func TestHistoryFindsBrokenScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	quick := []string{"fits-always", "settle-grants-two", "newcomers-barge", "granted-stays-queued", "release-hands-nothing-on", "fence-is-not-kept"}
	for _, m := range redislock.Mutations {
		if !*historyMutations && !slices.Contains(quick, m.Name) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) { findBroken(t, m) })
	}
}

// findBroken runs rounds until one has found a mutation.
func findBroken(t *testing.T, m redislock.Mutation) {
	seed := *historySeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for end := seed + brokenRounds; seed < end; seed++ {
		r := newRound(t, seed, m.Name)
		r.run(roundLength, !*historyMutations)
		t.Logf("seed %d: %s", seed, r.v.summary())
		switch found := r.v.failed(); {
		case m.Equivalent != "" && found:
			t.Fatalf("it should be equivalent (%s):\n%v", m.Equivalent, r.v)
		case m.Equivalent != "" || found:
			return
		}
	}
	t.Error("nothing has noticed that the rule is broken")
}

// round is one run of some seconds with one server.
type round struct {
	t      *testing.T
	seed   uint64
	broken string
	ttl    time.Duration
	folder string // of the histories
	server *redistest.Server
	watch  *watch
	v      *verdict
	hang   time.Duration
	slots  []*slot
	files  map[int]string // the history of each process
	faults []fault
	all    history
	result porcupine.CheckResult
}

// slot is a place for a process, with a link of its own to the server. A process
// that is killed leaves it to the next.
type slot struct {
	number  int
	proxy   *redistest.Proxy
	worker  *testproc.Process
	process int
	stopped bool
}

func newRound(t *testing.T, seed uint64, broken string) *round {
	random := rand.New(rand.NewPCG(seed, 0))
	r := &round{
		t: t, seed: seed, broken: broken, v: newVerdict(), files: map[int]string{},
		ttl: []time.Duration{400, 600, 800}[random.IntN(3)] * time.Millisecond,
		all: history{sessions: map[string]int64{}}, hang: hang,
	}
	if broken != "" && !stillRight(broken) {
		r.hang = brokenHang
	}
	var err error
	if r.folder, err = os.MkdirTemp("", "redislock-history-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(r.folder)
		}
	})
	var users []string
	for n := range slots {
		users = append(users, "--user "+userOf(n)+" on >x ~* &* +@all")
	}
	r.server = redistest.Start(t, users...)
	rdb := redis.NewClient(r.server.Options())
	t.Cleanup(func() { _ = rdb.Close() })
	r.watch = newWatch(rdb, r.v)
	for n := range slots {
		s := &slot{number: n, proxy: redistest.NewProxy(t, r.server.Addr())}
		r.slots = append(r.slots, s)
		r.start(s)
	}
	return r
}

// stillRight says whether a mutation is one that changes nothing.
func stillRight(broken string) bool {
	return slices.ContainsFunc(redislock.Mutations, func(m redislock.Mutation) bool {
		return m.Name == broken && m.Equivalent != ""
	})
}

// start starts a process.
func (r *round) start(s *slot) {
	r.t.Helper()
	process := len(r.files) + 1
	file := filepath.Join(r.folder, fmt.Sprintf("process-%03d.json", process))
	config, err := json.Marshal(workerConfig{
		Addr: s.proxy.Addr(), User: userOf(s.number), Process: process, Seed: r.seed,
		TTL: r.ttl, History: file, Break: r.broken, Hermit: s.number == 0,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := testproc.Command(r.t, "history", string(config))
	// One that is stopped would not notice that this process has ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.worker = testproc.StartCmd(r.t, cmd)
	s.worker.Expect("up")
	s.process = process
	r.files[process] = file
}

func (s *slot) resume() {
	if s.stopped {
		s.worker.Continue()
		s.stopped = false
	}
}

// run is the round, from the first fault to the checks.
func (r *round) run(length time.Duration, stopEarly bool) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { r.watch.run(ctx) })
	in := &injector{round: r, random: rand.New(rand.NewPCG(r.seed, 1))}
	in.run(length, stopEarly)
	r.faults = in.faults
	if !stopEarly || !r.v.failed() {
		r.finish()
	}
	cancel()
	watching.Wait()
	for _, s := range r.slots {
		s.worker.Kill()
	}
	for process, file := range r.files {
		if err := r.all.read(process, file); err != nil {
			r.t.Fatal(err)
		}
	}
	var operations []porcupine.Operation
	r.result, operations = r.all.check(r.v, r.faults, r.watch, r.ttl.Nanoseconds())
	r.draw(operations)
	r.notIdle()
}

func (r *round) statistics() string {
	counts := map[string]int{}
	for _, o := range r.all.operations {
		counts[o.result]++
		if o.lost != never {
			counts["lost"]++
		}
	}
	return fmt.Sprintf("%d grants, %d refused, %d failed, %d lost, %d kept out, %d processes, %d faults, %d looks",
		counts[granted], counts[refused], counts[failed], counts["lost"], len(r.watch.withdrawn), len(r.files), len(r.faults), r.watch.looks)
}

// draw writes what porcupine found to a page that shows it.
func (r *round) draw(operations []porcupine.Operation) {
	if r.result != porcupine.Illegal {
		return
	}
	_, info := porcupine.CheckOperationsVerbose(lockModel, operations, checkTimeout)
	var notes []porcupine.Annotation
	for _, f := range r.faults {
		notes = append(notes, porcupine.Annotation{Tag: "faults", Start: f.from, End: f.to, Description: f.kind, Details: fmt.Sprintf("process %d %s", f.process, f.lock)})
	}
	info.AddAnnotations(notes)
	if err := porcupine.VisualizePath(lockModel, info, filepath.Join(r.folder, "history.html")); err != nil {
		r.t.Error(err)
	}
}

// keep writes down the faults and what was found, and says where.
func (r *round) keep(t *testing.T) string {
	text := r.v.String()
	for _, f := range r.faults {
		text += fmt.Sprintf("fault %s process %s lock %q from %d to %d\n", f.kind, strconv.Itoa(f.process), f.lock, f.from, f.to)
	}
	if err := os.WriteFile(filepath.Join(r.folder, "findings.txt"), []byte(text), 0o666); err != nil {
		t.Error(err)
	}
	return r.folder
}
