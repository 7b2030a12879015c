package main

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"time"
)

// The names of the Python peers; peer.py knows them, too. They are measured with
// their default options.
const (
	pythonOurs     = "Python portalocker"
	pythonFilelock = "Python filelock"
)

// pythonFolder is the environment variable that names the virtual environment with
// the Python peers. The script venv makes one.
const pythonFolder = "PORTALOCKER_BENCH_PYTHON"

//go:embed peer.py
var pythonPeer string

// pythonCommand is the command line of a Python child, without its task.
func pythonCommand() ([]string, error) {
	folder := os.Getenv(pythonFolder)
	if folder == "" {
		return nil, &missing{why: pythonFolder + " is not set; ./venv FOLDER makes what it is to name"}
	}
	python := filepath.Join(folder, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return nil, &missing{why: pythonFolder + " does not name a virtual environment: " + err.Error()}
	}
	return []string{python, "-I", "-c", pythonPeer}, nil
}

// alsoInPython adds the Python peers to the row of uncontended pairs.
func alsoInPython(w *row) *row {
	others := w.measure
	w.measure = func(ctx context.Context, r *run) error {
		if err := others(ctx, r); err != nil {
			return err
		}
		return r.inTurn([]string{pythonOurs, pythonFilelock}, func(who string) error {
			ns, err := ask[float64](ctx, task{Role: "uncontended", Who: who, Path: r.path(), Time: 400 * time.Millisecond})
			if err == nil {
				r.record(who, pairCost, ns)
			}
			return err
		})
	}
	return w
}

// pythonVersions are the versions of Python and of the peers; nothing where they are
// missing.
func pythonVersions(ctx context.Context) []string {
	versions, err := ask[[]string](ctx, task{Role: "versions", Who: pythonOurs})
	if err != nil {
		return nil
	}
	return versions
}
