package oslock

const platformDefault = LockFileEx

var facilities = [mechanisms]facility{LockFileEx: lockFileExFacility}
