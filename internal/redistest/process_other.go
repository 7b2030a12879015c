//go:build !linux

package redistest

import "os/exec"

// endWithParent does nothing: there is no parent-death signal here.
func endWithParent(*exec.Cmd) {}

func (r *run) awaitStopped() error { return nil }
