package oslock

const platformDefault = LockFileEx

var facilities = [Mechanisms]facility{LockFileEx: lockFileExFacility}
