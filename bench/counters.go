package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// counters are a file that parent and children have mapped into their memory: a
// word that tells the children to stop, and for each child the number of turns it
// has had. The parent reads them without disturbing anybody.
type counters struct{ memory []byte }

// counterSize keeps the words in cache lines of their own.
const counterSize = 64

// newCounters makes the file for n children.
func newCounters(path string, n int) (*counters, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	err = f.Truncate(int64(n+1) * counterSize)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return openCounters(path)
}

func openCounters(path string) (*counters, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &counters{memory}, nil
}

func (c *counters) close() error { return unix.Munmap(c.memory) }

func (c *counters) stop()         { c.word(0).Store(1) }
func (c *counters) stopped() bool { return c.word(0).Load() != 0 }
func (c *counters) add(i int)     { c.word(i + 1).Add(1) }

// read gives every child's number of turns.
func (c *counters) read() []uint64 {
	turns := make([]uint64, len(c.memory)/counterSize-1)
	for i := range turns {
		turns[i] = c.word(i + 1).Load()
	}
	return turns
}

func (c *counters) word(i int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&c.memory[i*counterSize]))
}
