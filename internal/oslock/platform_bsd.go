//go:build darwin || dragonfly || freebsd || illumos || netbsd || openbsd

package oslock

const platformDefault = Flock

var facilities = [Mechanisms]facility{Flock: flockFacility, POSIX: posixFacility}
