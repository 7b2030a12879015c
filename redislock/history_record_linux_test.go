package redislock_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clock is the time that all processes of the machine share, in nanoseconds
// (clock_gettime(2), CLOCK_MONOTONIC).
func clock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every Linux has it
	}
	return t.Nano()
}

// never is a time after all others.
const never = int64(math.MaxInt64)

// event is one line of a history.
type event struct {
	At      int64  `json:"at"`
	Kind    string `json:"kind"`         // see the constants
	Op      int    `json:"op,omitempty"` // numbers the acquisitions of a process
	Lock    string `json:"lock,omitempty"`
	Mode    string `json:"mode,omitempty"`
	Limit   int    `json:"limit,omitempty"`
	Holder  string `json:"holder,omitempty"`
	Session string `json:"session,omitempty"`
	Fence   int64  `json:"fence,omitempty"`
	Text    string `json:"text,omitempty"`
}

const (
	called    = "call"     // of Acquire
	granted   = "granted"  // Acquire returned a lease
	refused   = "refused"  // Acquire returned ErrAlreadyLocked
	failed    = "failed"   // Acquire returned another error
	believed  = "believed" // a call of Err that gave nil; At is the time before the call
	lost      = "lost"     // a call of Err gave ErrLost
	releasing = "release"  // a call of Release
	released  = "released" // it returned, Text is the error
	began     = "session"  // a session began
	wrong     = "wrong"    // the process saw what it must not see
)

// recorder writes the history of a process. Each event is written at once, so that
// a SIGKILL loses none.
type recorder struct {
	mu   sync.Mutex
	file *os.File
}

func (r *recorder) add(e event) {
	if e.At == 0 {
		e.At = clock()
	}
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // its fields are strings and numbers
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.file.Write(append(line, '\n')); err != nil {
		panic(fmt.Sprintf("the history of this process: %v", err))
	}
}

// operation is one acquisition, from the call of Acquire to the return of Release.
type operation struct {
	process int
	number  int
	lock    string
	mode    string
	limit   int
	call    int64
	result  string // granted, refused, failed; empty if Acquire has not returned
	back    int64  // when it returned; never if it did not
	holder  string
	session string
	fence   int64

	belief   int64 // the last time at which the process is known to believe that it holds
	lost     int64 // when it first knew of the loss; never if it did not
	lostText string
	release  int64 // the call of Release; never if there was none
	released int64 // when Release returned without an error; never if it did not
}

func (o *operation) String() string {
	return fmt.Sprintf("process %d, operation %d: %s of %s, fence %d", o.process, o.number, o.mode, o.lock, o.fence)
}

// history is what the processes of a run have recorded.
type history struct {
	operations []*operation
	sessions   map[string]int64 // when each began
	wrong      []violation      // what the processes found themselves
}

// read adds the history of one process.
func (h *history) read(process int, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	all := map[int]*operation{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
		switch e.Kind {
		case began:
			h.sessions[e.Session] = e.At
		case wrong:
			h.wrong = append(h.wrong, violation{check: "lease", at: e.At, text: fmt.Sprintf("process %d, operation %d: %s", process, e.Op, e.Text)})
		case called:
			o := &operation{
				process: process, number: e.Op, lock: e.Lock, mode: e.Mode, limit: e.Limit, call: e.At,
				back: never, lost: never, release: never, released: never,
			}
			all[e.Op] = o
			h.operations = append(h.operations, o)
		default:
			all[e.Op].add(e)
		}
	}
	return nil
}

func (o *operation) add(e event) {
	switch e.Kind {
	case granted:
		o.holder, o.session, o.fence = e.Holder, e.Session, e.Fence
		// That Acquire has returned does not show that the process believed at that
		// time: it may have been stopped on the way. Err looks at the clocks.
		o.result, o.back, o.belief = granted, e.At, o.call
	case refused, failed:
		o.result, o.back = e.Kind, e.At
	case believed:
		o.belief = e.At
	case lost:
		o.lost, o.lostText = e.At, e.Text
	case releasing:
		o.release = e.At
	case released:
		if e.Text == "" {
			o.released = e.At
		}
	}
}

// violation is what a check found.
type violation struct {
	check string
	at    int64
	text  string
}

// verdict collects violations, from several goroutines.
type verdict struct {
	start int64

	mu    sync.Mutex
	found []violation
	first chan struct{} // closed with the first one
}

func newVerdict() *verdict { return &verdict{start: clock(), first: make(chan struct{})} }

func (v *verdict) add(check string, at int64, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.found == nil {
		close(v.first)
	}
	v.found = append(v.found, violation{check, at, fmt.Sprintf(format, args...)})
}

func (v *verdict) failed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.found != nil
}

// String lists what was found, not all of it if that is much.
func (v *verdict) String() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b strings.Builder
	said := map[string]int{}
	for _, f := range v.found {
		if said[f.check]++; said[f.check] <= 5 {
			fmt.Fprintf(&b, "%8.3f s  %s: %s\n", time.Duration(f.at-v.start).Seconds(), f.check, f.text)
		}
	}
	for check, n := range said {
		if n > 5 {
			fmt.Fprintf(&b, "and %d more of %s\n", n-5, check)
		}
	}
	return b.String()
}

// summary says which checks failed, and after how long the first did.
func (v *verdict) summary() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.found == nil {
		return "nothing was found"
	}
	var checks []string
	for _, f := range v.found {
		text := fmt.Sprintf("%s (%.1f s)", f.check, time.Duration(f.at-v.start).Seconds())
		if !strings.Contains(strings.Join(checks, ", "), f.check+" (") {
			checks = append(checks, text)
		}
	}
	return strings.Join(checks, ", ")
}
