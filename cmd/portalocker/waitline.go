package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/portalocker/portalocker"
)

// waitLine is the line on a terminal that tells of a wait: what for, how long
// already, and who has the lock. It is written again and again in the same place,
// and gone when the wait ends.
type waitLine struct {
	out     *os.File
	lock    string        // as it was given
	slots   int           // of the semaphore that the lock is; 0 if it is none
	files   []string      // that whoever has it has locked
	remote  remote        // instead of files, a lock on a server
	timeout time.Duration // of the wait
	begin   time.Time
	cells   int // how long the line is that stands there now
}

// during shows the line while wait runs. It does not wait for long for a terminal that
// has been stopped: the lock may be held now.
func (w *waitLine) during(wait func() error) error {
	w.begin = time.Now()
	over, gone := make(chan struct{}), make(chan struct{})
	go func() {
		w.show(over)
		close(gone)
	}()
	err := wait()
	close(over)
	const patience = time.Second
	select {
	case <-gone:
	case <-time.After(patience):
	}
	return err
}

// show begins with a pause, as most waits are over before anybody could read of
// them.
func (w *waitLine) show(over <-chan struct{}) {
	const first = 300 * time.Millisecond
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-over:
			w.write("")
			return
		case <-timer.C:
		}
		w.write(w.text(time.Since(w.begin), w.holders()))
		timer.Reset(time.Second - time.Since(w.begin)%time.Second)
	}
}

// text is the line for a wait of some time. What may be too long for it is last.
func (w *waitLine) text(waited time.Duration, holders []string) string {
	var b strings.Builder
	b.WriteString("portalocker: waiting")
	if waited >= time.Second {
		fmt.Fprintf(&b, " %v", waited.Truncate(time.Second))
		if w.timeout != portalocker.Forever {
			fmt.Fprintf(&b, " of %v", w.timeout)
		}
	}
	if len(holders) > 0 {
		b.WriteString(", held by " + strings.Join(holders, ", "))
	}
	b.WriteString(": ")
	if w.slots > 0 {
		fmt.Fprintf(&b, "one of the %d slots of ", w.slots)
	}
	b.WriteString(shown(w.lock))
	return b.String()
}

// holders names some of those who have the lock, as far as the system tells. Each
// file that is asked about costs a look at all processes.
func (w *waitLine) holders() (names []string) {
	if w.remote != nil {
		return w.remote.holders()
	}
	const maxNames, maxFiles = 3, 4
	for _, file := range w.files[:min(len(w.files), maxFiles)] {
		holders, err := portalocker.Holders(file)
		if err != nil {
			return nil // the wait itself will tell what is wrong, if it is
		}
		for _, h := range holders {
			if h.Waiting || h.PID == 0 {
				continue
			}
			name := fmt.Sprintf("pid %d", h.PID)
			if h.Command != "" {
				name += " (" + shown(h.Command) + ")"
			}
			switch {
			case slices.Contains(names, name):
			case len(names) == maxNames:
				return append(names, "and others")
			default:
				names = append(names, name)
			}
		}
	}
	if len(w.files) > maxFiles && len(names) > 0 {
		names = append(names, "and others")
	}
	return names
}

// write puts the text where the last one stands, without what control sequences
// would need to know of the terminal. A program in the background leaves the
// terminal to others.
func (w *waitLine) write(text string) {
	width, ok := terminalWidth(w.out)
	if !ok {
		return
	}
	text, cells := clip(text, width-1) // in the last column some terminals go to the next line
	blanks := max(w.cells-cells, 0)
	w.cells = cells
	line := "\r" + text + strings.Repeat(" ", blanks)
	if text == "" {
		if blanks == 0 {
			return // nothing stands there
		}
		line += "\r"
	}
	_, _ = w.out.WriteString(line) // a line that cannot be shown is not worth a word
}

// clip shortens a text to a number of a terminal's cells. What is not ASCII may be
// two wide, and counts so.
func clip(text string, limit int) (clipped string, cells int) {
	for i, r := range text {
		n := 1
		if r >= 0x80 {
			n = 2
		}
		if cells+n > limit {
			return text[:i], cells
		}
		cells += n
	}
	return text, cells
}
