package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
	"github.com/natefinch/atomic"
	"github.com/portalocker/portalocker"
)

// The peers sync the file before they rename it, but not the folder after, so a
// power failure can undo what they have reported as done. To compare like with
// like they are measured with that sync added, too.
const (
	renameioOnly   = "google/renameio, folder not synced"
	renameioSynced = "google/renameio + sync of the folder"
	natefinchOnly  = "natefinch/atomic, folder not synced"
	natefinchToo   = "natefinch/atomic + sync of the folder"
)

var (
	replaceCost = figure{"replace a file by 4 KiB, median", duration}
	createCost  = figure{"create a file of 4 KiB, median", duration}
)

// atomicRow measures files that are written in one step.
func atomicRow() *row {
	whos := []string{ours, renameioSynced, natefinchToo, renameioOnly, natefinchOnly}
	return &row{
		name:  "atomic",
		what:  "a file of 4 KiB, atomically and durably",
		base:  ours,
		roles: map[string]role{"atomic": writeFiles},
		targets: []target{
			withinTimes(ours, replaceCost, 1.1, renameioSynced),
			withinTimes(ours, replaceCost, 1.1, natefinchToo),
			withinTimes(ours, createCost, 1.1, renameioSynced),
			withinTimes(ours, createCost, 1.1, natefinchToo),
		},
		measure: func(ctx context.Context, r *run) error {
			for n, f := range []figure{replaceCost, createCost} {
				medians, err := ask[map[string]float64](ctx, task{Role: "atomic", Path: r.dir, N: n, Time: 2 * time.Second})
				if err != nil {
					return err
				}
				for _, who := range whos {
					r.record(who, f, medians[who])
				}
			}
			return nil
		},
	}
}

// writeFiles lets all write one file each in turn, so that the disk is as busy for
// one as for the other, and answers with the median time in ns of each. The files
// are there, unless N is 1.
func writeFiles(t task, parent *link) error {
	writers := fileWriters(bytes.Repeat([]byte("0123456789abcdef"), 256), t.N == 1)
	times := map[string][]float64{}
	round := func() error {
		for _, w := range writers {
			path := filepath.Join(t.Path, w.file)
			var err error
			if t.N == 1 {
				if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
					err = nil
				}
			}
			begin := time.Now()
			if err == nil {
				err = w.write(path)
			}
			times[w.who] = append(times[w.who], float64(time.Since(begin)))
			if err != nil {
				return fmt.Errorf("%s: %w", w.who, err)
			}
		}
		writers = append(writers[1:], writers[0]) // each is first as often as the others
		return nil
	}
	for range len(writers) { // creates the files, warms up
		if err := round(); err != nil {
			return err
		}
	}
	clear(times)
	for begin := time.Now(); time.Since(begin) < t.Time; {
		if err := round(); err != nil {
			return err
		}
	}
	medians := map[string]float64{}
	for who, all := range times {
		medians[who] = median(all)
	}
	return parent.say(medians)
}

type fileWriter struct {
	who   string
	file  string // the name of its own
	write func(path string) error
}

// fileWriters are all who are measured. The peers have no way to refuse a file that
// exists, so they always replace.
func fileWriters(data []byte, create bool) []fileWriter {
	var opts []portalocker.AtomicOption
	if !create {
		opts = append(opts, portalocker.WithReplace())
	}
	// With its folder given it need not look for one each time.
	renameio := func(path string) error {
		return renameio.WriteFile(path, data, 0o644, renameio.WithTempDir(filepath.Dir(path)))
	}
	natefinch := func(path string) error { return atomic.WriteFile(path, bytes.NewReader(data)) }
	return []fileWriter{
		{ours, "0", func(path string) error { return portalocker.WriteFileAtomic(path, data, 0o644, opts...) }},
		{renameioSynced, "1", thenSyncFolder(renameio)},
		{natefinchToo, "2", thenSyncFolder(natefinch)},
		{renameioOnly, "3", renameio},
		{natefinchOnly, "4", natefinch},
	}
}

func thenSyncFolder(write func(path string) error) func(path string) error {
	return func(path string) error {
		if err := write(path); err != nil {
			return err
		}
		folder, err := os.Open(filepath.Dir(path))
		if err != nil {
			return err
		}
		return errors.Join(folder.Sync(), folder.Close())
	}
}
