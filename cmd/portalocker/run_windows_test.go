package main

import (
	"os"
	"testing"
)

func TestRunShell(t *testing.T) {
	path := lockFile(t)
	for _, args := range [][]string{
		{"run", "-c", `echo "a b"& exit 3`, path},
		{"run", path, "--command", `"%ComSpec%" /C echo "a b"& exit 3`},
	} {
		try(t, args...).want(t, 3, `"a b"`, "")
	}
}

func TestRunNoFork(t *testing.T) {
	try(t, "run", "-F", lockFile(t), "--", self, "@exit", "0").
		want(t, statusUsage, "", "--no-fork: a program cannot become another one on windows")
}

func TestRunDirectory(t *testing.T) {
	try(t, "run", t.TempDir(), "--", self, "@exit", "0").want(t, statusNoInput, "", "it is a directory")
}

// A lock ends with portalocker, whatever becomes of the command.
func TestRunKilled(t *testing.T) {
	path, p := heldLock(t)
	if err := p.cmd.Process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	p.end()
	mustBeFree(t, path)
}
