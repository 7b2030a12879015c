package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// row is one row of the table: what it measures, of whom, and what is to be
// reached. Adding one takes a file that makes it and a line in rows.
type row struct {
	name    string
	what    string
	base    string          // whom the others are divided by; "" where that says nothing
	maxRuns int             // 0 for as many as asked for
	roles   map[string]role // what its children do
	targets []target
	series  []series // those of its figures that are measured as something grows

	// measure does one run and records one value, or the same number of values,
	// for each figure and each who.
	measure func(ctx context.Context, r *run) error
}

// rows are all rows, in the order of the table.
func rows() []*row {
	return []*row{
		alsoInPython(uncontendedRow()),
		commandRow(),
		handoverRow(),
		greedyRow(),
		goroutinesRow(),
		crowdRow(),
		waitersRow(),
		idleRow(),
		slotsRow(),
		atomicRow(),
		redisUncontendedRow(),
		redisContendedRow(),
		redisWaitersRow(),
		redisKilledRow(),
	}
}

// runLimit is far more than one run of any row takes. What is longer is stuck.
const runLimit = 3 * time.Minute

// run is one of the runs of a row.
type run struct {
	*results
	number int // from 0
	dir    string
	files  int
}

// path names a lock file that nobody has used.
func (r *run) path() string {
	r.files++
	return filepath.Join(r.dir, fmt.Sprintf("%d.lock", r.files))
}

// inTurn calls measure for each who; one that is missing is left out. Each run begins with another one, so that
// whatever wears off or builds up during a run hits all alike.
func (r *run) inTurn(whos []string, measure func(who string) error) error {
	for i := range whos {
		who := whos[(i+r.number)%len(whos)]
		err := measure(who)
		if m, ok := errors.AsType[*missing](err); ok {
			r.leaveOut(missing{who, m.why})
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	return nil
}

// do measures the row, with lock files in dir.
func (w *row) do(ctx context.Context, dir string, runs int, progress func(format string, args ...any)) (*results, error) {
	r := newResults()
	begin := time.Now()
	defer func() { progress("%s: took %v\n", w.name, time.Since(begin).Round(time.Second)) }()
	if w.maxRuns > 0 {
		runs = min(runs, w.maxRuns)
	}
	for i := range runs {
		progress("%s: run %d of %d\n", w.name, i+1, runs)
		err := w.once(ctx, dir, r, i)
		if m, ok := errors.AsType[*missing](err); ok {
			r.leaveOut(*m)
			return r, nil
		}
		if err != nil {
			return r, fmt.Errorf("%s, run %d: %w", w.name, i+1, err)
		}
		r.runs = i + 1
	}
	return r, nil
}

func (w *row) once(ctx context.Context, dir string, r *results, i int) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runLimit, fmt.Errorf("stuck: no result after %v", runLimit))
	defer cancel()
	sub, err := os.MkdirTemp(dir, w.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sub)
	return w.measure(ctx, &run{results: r, number: i, dir: sub})
}
