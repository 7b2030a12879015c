package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// event is one line of a history.
type event struct {
	at    int64
	kind  string // see the constants
	op    int    // numbers the acquisitions of a process
	lock  string
	mode  string // exclusive, shared, permit
	fence int64
	text  string
}

const (
	asked     = "asked"     // Acquire is about to be called; the text is "once" for a single try
	granted   = "granted"   // Acquire has returned with the lock
	refused   = "refused"   // it has returned ErrAlreadyLocked
	failed    = "failed"    // it has returned another error; the text has its class
	believed  = "believed"  // Err of a lease gave nil; at is the time before that call
	lost      = "lost"      // Err, or Release, gave ErrLost
	releasing = "releasing" // Release is about to be called
	released  = "released"  // it has returned; the text is empty, or the class and the error
	session   = "session"   // a session began; the text is its liveness
	late      = "late"      // a timer of this process came so many nanoseconds (fence) too late
	dying     = "dying"     // the process is about to kill itself
	wrong     = "wrong"     // the process saw what it must not see
)

// recorder writes the history of a process. Each event is written at once, before what it
// announces and after what it reports, so that a SIGKILL at any moment leaves a history
// that is true. The file was opened when the process began, and lies where no fault
// reaches it.
type recorder struct {
	mu   sync.Mutex
	file *os.File
	line []byte
}

func (r *recorder) add(e event) {
	if e.at == 0 {
		e.at = clock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line = fmt.Appendf(r.line[:0], "%d %s %d %s %s %d %s\n", e.at, e.kind, e.op, dash(e.lock), dash(e.mode), e.fence, strings.ReplaceAll(e.text, "\n", "; "))
	if _, err := r.file.Write(r.line); err != nil {
		panic(fmt.Sprintf("the history of this process: %v", err)) // nothing can be shown without it
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// String is the event as a person reads it in a report.
func (e event) String() string {
	return strings.TrimSpace(fmt.Sprintf("%-9s op %-6d %s %s fence %d %s", e.kind, e.op, e.lock, e.mode, e.fence, e.text))
}

// parseEvents reads a history. A process that was killed in the middle of a write may
// have left half a line at the end.
func parseEvents(data []byte) ([]event, error) {
	var events []event
	for line := range bytes.Lines(data) {
		whole, ok := bytes.CutSuffix(line, []byte("\n"))
		if !ok {
			break
		}
		fields := strings.SplitN(string(whole), " ", 7)
		if len(fields) < 7 {
			return nil, fmt.Errorf("%q is no event", whole)
		}
		e := event{kind: fields[1], lock: fields[3], mode: fields[4], text: fields[6]}
		var err [3]error
		e.at, err[0] = strconv.ParseInt(fields[0], 10, 64)
		e.op, err[1] = strconv.Atoi(fields[2])
		e.fence, err[2] = strconv.ParseInt(fields[5], 10, 64)
		if err != [3]error{} {
			return nil, fmt.Errorf("%q is no event: %v", whole, err)
		}
		events = append(events, e)
	}
	return events, nil
}
