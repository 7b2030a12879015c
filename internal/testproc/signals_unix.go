//go:build unix

package testproc

import "syscall"

// Stop stops the process as SIGSTOP does.
func (p *Process) Stop() { p.signal(syscall.SIGSTOP) }

// Continue lets a stopped process run on.
func (p *Process) Continue() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("process %d: %v", p.Cmd.Process.Pid, err)
	}
}
