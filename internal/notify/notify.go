// Package notify tells when a locked file may have become free, without asking
// the lock again and again. A hint is only a hint: it can come for nothing, and
// on some systems and filesystems it never comes, so a waiter keeps a timer too.
package notify
