//go:build unix

package main

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/redistest"
)

func TestRunPywireLost(t *testing.T) {
	t.Parallel()
	s, proxy, url := behindProxy(t)
	for _, lose := range []func(){
		func() { cutOff(t.Context(), t, s, "job") },
		proxy.Cut,
	} {
		p := start(t, underPywire(url, "job", "--", self, "@signals")...)
		p.ready()
		lose()
		p.finish().wantLost(t, "terminated\n", endingIt)
		try(t, underPywire(url, "job", "--", self, "@exit", "0")...).want(t, 0, "", "")
	}
	p := start(t, underPywire(url, "--kill-after", "0", "job", "--", self, "@deaf")...)
	p.ready()
	proxy.Cut()
	if out, err := io.ReadAll(p.out); err != nil || len(out) > 0 { // it does not end by its standard input
		t.Errorf("read %q (%v)", out, err)
	}
	p.finish().wantLost(t, "", endingIt)
}

// One who waits cuts off a portalocker that is stopped, which then ends its command.
func TestRunPywireStopped(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := start(t, underPywire(s.URL(), "job", "--", self, "@signals")...)
	p.ready()
	p.send(unix.SIGSTOP)
	next := start(t, underPywire(s.URL(), "job", "--", self, "@hold")...)
	next.ready()
	p.send(unix.SIGCONT)
	p.finish().wantLost(t, "terminated\n", endingIt)
	next.finish().want(t, 0, "", "")
}

// A signal ends a wait, and nothing of it stays.
func TestRunPywireSignals(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	holder := heldOn(t, s.URL(), "--pywire", "job")
	waiter := start(t, underPywire(s.URL(), "--verbose", "job", "--", self, "@hold")...)
	waiter.expect(waiter.err, "portalocker: acquire job: ") // waits from now on
	waiter.send(unix.SIGTERM)
	waiter.finish().want(t, statusSignal+int(unix.SIGTERM), "", "stopped by signal: terminated")
	holder.finish().want(t, 0, "", "")
	try(t, underPywire(s.URL(), "-n", "job", "--", self, "@exit", "0")...).want(t, 0, "", "")
}
