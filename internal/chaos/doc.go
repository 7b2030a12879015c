// Command chaos is the fault campaign: many processes use every kind of lock, on files
// and on a Redis server, while processes, disks, limits, clocks, links and the server
// are broken in every way that can be had, and all that they saw is checked.
//
//	go run ./internal/chaos -duration 2m
//
// It needs Linux, and a redis-server for the Redis locks. As root, or where user
// namespaces are allowed, it makes a small disk of its own to fill up. What is
// missing is named, and left out.
//
// A campaign goes in rounds. In each, the coordinator (campaign_linux.go) injects
// faults (fault*_linux.go) while the workers (worker_linux.go) ask, hold and release.
// Then every fault is lifted, and everybody must get every lock once more, close what
// is open, and leave nothing behind (litter_linux.go). Each worker writes down what
// it does as it does it (record_linux.go), in a file that no fault reaches and that a
// SIGKILL leaves whole. At the end of the round the checks (check_*_linux.go) read these
// histories together with what the coordinator did.
//
// The same seed makes the same faults in the same order. When they hit, and whom
// they find doing what, is for the scheduler to decide.
package main
