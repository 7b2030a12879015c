//go:build !unix && !windows

package oslock

// Plan 9, js and wasip1 have no advisory locks: every call is ErrUnsupported.
const platformDefault = Default

var facilities = [Mechanisms]facility{}
