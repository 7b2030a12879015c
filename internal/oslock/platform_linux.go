package oslock

const platformDefault = Flock

var facilities = [mechanisms]facility{Flock: flockFacility, OFD: ofdFacility, POSIX: posixFacility}
