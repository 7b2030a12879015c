package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The CPU clock that cpuTime reads from outside and getrusage tell the same.
func TestCPUTimeAgreesWithGetrusage(t *testing.T) {
	usage := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begin := usage()
	for usage()-begin < 30*time.Millisecond {
		// use CPU time
	}
	// Getrusage counts user and system time in whole microseconds.
	const rounding = 2 * time.Microsecond
	before := usage()
	got, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := usage()
	if got < before-rounding || got > after+rounding {
		t.Errorf("cpuTime = %v, getrusage says %v before and %v after", got, before, after)
	}
	twice, err := cpuTime(os.Getpid(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if twice < 2*got {
		t.Errorf("cpuTime of two processes = %v, of one %v", twice, got)
	}
}

func TestThreads(t *testing.T) {
	if n, err := threads(); err != nil || n < 1 {
		t.Errorf("threads() = %d, %v", n, err)
	}
}

func TestCountersAreShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters")
	parent, err := newCounters(path, 3)
	if err != nil {
		t.Fatal(err)
	}
	child, err := openCounters(path)
	if err != nil {
		t.Fatal(err)
	}
	child.add(0)
	child.add(2)
	child.add(2)
	if got := parent.read(); len(got) != 3 || got[0] != 1 || got[1] != 0 || got[2] != 2 {
		t.Errorf("the parent reads %v, want [1 0 2]", got)
	}
	if child.stopped() {
		t.Error("stopped before the parent said so")
	}
	parent.stop()
	if !child.stopped() {
		t.Error("not stopped after the parent said so")
	}
	if err := parent.close(); err != nil {
		t.Error(err)
	}
	if err := child.close(); err != nil {
		t.Error(err)
	}
}
