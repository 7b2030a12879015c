package portalocker

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSeemsFit: the short look tells what can be locked from pipes, sockets and
// devices, whichever way the file is open, and does nothing to it.
func TestSeemsFit(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		flags      int
		want       bool
	}{
		{"a file", file, unix.O_RDWR | unix.O_APPEND, true},
		{"a file to read", file, unix.O_RDONLY, true},
		{"a file to write", file, unix.O_WRONLY, true},
		{"a directory", dir, unix.O_RDONLY, true},
		{"a FIFO", fifo, unix.O_RDWR, false},
		{"a FIFO to read", fifo, unix.O_RDONLY | unix.O_NONBLOCK, false},
		{"a device", os.DevNull, unix.O_RDWR, false},
	} {
		fd, err := unix.Open(test.path, test.flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := seemsFit(fd); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if seemsFit(fd) {
			t.Error("a socket seems fit")
		}
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
}
