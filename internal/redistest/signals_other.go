//go:build !unix

package redistest

import "errors"

func (r *run) stop() error { return errors.ErrUnsupported }

func (r *run) continueRun() error { return errors.ErrUnsupported }

// terminate has no orderly way here.
func (r *run) terminate() error { return r.cmd.Process.Kill() }
