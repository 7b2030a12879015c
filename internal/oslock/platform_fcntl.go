//go:build (solaris && !illumos) || aix

package oslock

// These have no flock(2). (illumos, which Go builds with the solaris tag too,
// has it, so the constraint names it out.)
const platformDefault = POSIX

var facilities = [Mechanisms]facility{POSIX: posixFacility}
