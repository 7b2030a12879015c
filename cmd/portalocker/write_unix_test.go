//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
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

// A standard input that is closed is no empty one. Go opens /dev/null in its place.
func TestWriteFromClosedInput(t *testing.T) {
	for redirection, want := range map[string]struct {
		status        int
		content, errs string
	}{
		"<&-":        {statusNoInput, "old", "cannot read standard input: it is closed"},
		"</dev/null": {0, "", ""},
	} {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", `"$0" write --replace "$1" `+redirection, self, path)
		cmd.Env = portalockerCommand().Env
		startCommand(t, cmd).finish().want(t, want.status, "", want.errs)
		only(t, path, want.content)
	}
}
