package oslock

const platformDefault = Flock

var facilities = [Mechanisms]facility{Flock: flockFacility, OFD: ofdFacility, POSIX: posixFacility}
