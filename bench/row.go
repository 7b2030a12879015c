package main

import (
	"context"
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

	// measure does one run and records one value, or the same number of values,
	// for each figure and each who.
	measure func(ctx context.Context, r *run) error
}

// rows are all rows, in the order of the table.
func rows() []*row {
	return []*row{
		uncontendedRow(),
		handoverRow(),
		greedyRow(),
		goroutinesRow(),
		crowdRow(),
		waitersRow(),
		idleRow(),
		slotsRow(),
		atomicRow(),
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

// inTurn calls measure for each who. Each run begins with another one, so that
// whatever wears off or builds up during a run hits all alike.
func (r *run) inTurn(whos []string, measure func(who string) error) error {
	for i := range whos {
		who := whos[(i+r.number)%len(whos)]
		if err := measure(who); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
	}
	return nil
}

// do measures the row, with lock files in dir.
func (w *row) do(ctx context.Context, dir string, runs int, progress func(format string, args ...any)) (*results, error) {
	r := newResults()
	if w.maxRuns > 0 {
		runs = min(runs, w.maxRuns)
	}
	for i := range runs {
		progress("%s: run %d of %d\n", w.name, i+1, runs)
		if err := w.once(ctx, dir, r, i); err != nil {
			return r, fmt.Errorf("%s, run %d: %w", w.name, i+1, err)
		}
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
