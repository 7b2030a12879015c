//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestWriteStopped: a signal before the end of the input leaves nothing behind.
func TestWriteStopped(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		for _, old := range []string{"", "old"} {
			dir := t.TempDir()
			path := filepath.Join(dir, "x")
			if old != "" {
				if err := os.WriteFile(path, []byte(old), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			p := start(t, "write", "--replace", path)
			// More than a pipe holds: when it is written the other end has read.
			if _, err := p.in.Write(bytes.Repeat([]byte("new"), 1<<20)); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if status := p.end(); status != statusSignal+int(sig) {
				t.Errorf("%v: status %d", sig, status)
			}
			p.expect(p.err, "portalocker: stopped by signal: ")
			if old != "" {
				only(t, path, old)
			} else if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("there are %v (%v)", entries, err)
			}
		}
	}
}
