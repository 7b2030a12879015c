//go:build darwin || dragonfly || freebsd || illumos || netbsd || openbsd

package oslock

const platformDefault = Flock

var facilities = [mechanisms]facility{Flock: flockFacility, POSIX: posixFacility}
