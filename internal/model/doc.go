// Package model has no code for programs. Its tests hold small models of what the
// locks rest on, and explore every order in which the steps of a few processes can
// follow each other, to the last state. Each test logs how many states that were.
// Then it takes one rule of the design away at a time, and the exploration must
// find what that breaks.
//
// The queue of a file lock (queue_*_test.go; wait.go, ticket_linux.go, package
// notify): tickets, the front of the queue, watches, bells, hints that come before the
// kernel drops a dead process's locks, giving way, follow-ups, readers. A step is a
// system call, or a few that others cannot tell apart. Three processes, or four, make
// one acquisition each; some are killed or stopped anywhere, or give up.
//
// The path of a TemporaryFileLock (unlink_test.go): three users of one path, two
// rounds each, killed anywhere. Inode numbers are used again.
//
// The Redis locks (redis_*_test.go, scripts_model_test.go): each script is one step.
// Three sessions, or two with more trouble, are killed, stopped, cut off, lose
// answers, have requests that arrive late, and give up. TestScriptsAgree runs random
// operations on the real scripts, in miniredis, and on the model of them.
//
// # What is shown
//
// Never two. Order of arrival where all run. No ticket and no owner that nobody knows
// of. Fences that grow. And no forgotten sleeper: where nothing but timers of the
// safety net can go on, the lock is not free while somebody waits, but for what the
// design leaves to the safety net. Those states are counted by cause, and the net
// leads out of each. No circle of steps without such a timer exists, so each run comes
// to a state that was judged so.
//
// # What is not modelled
//
// Time has an order and no length. A pause can end at any moment, but the last
// follow-up of a hint comes after whoever runs has done what it was doing, and the
// order of arrival is shown where no pause ends between the steps of a hand-over. The
// clock of a client ends a lease before that of the server; how, is not modelled.
//
// Looking through the queue is one step; two arrivals in one microsecond, and one
// that is overtaken between its arrival and its ticket, are not there. The front is
// one or two processes (eight waiters on Redis, here one or two), so that few
// processes get behind it. Semaphores, the line within a process, the leader among
// the watches of a process, network filesystems, and programs that know nothing of
// tickets are not there. Redis keeps its data, and is one server; a program that removes the
// file of a lock by hand breaks the lock.
package model
