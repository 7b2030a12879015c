package portalocker

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/portalocker/portalocker/internal/oslock"
)

// LockFlags says what lock is wanted, and whether to wait for it. The values
// are those of flock(2), and of Python portalocker on Unix.
type LockFlags uint8

const (
	Shared      LockFlags = 1 << iota // any number of holders together (LOCK_SH)
	Exclusive                         // one holder alone (LOCK_EX)
	NonBlocking                       // fail at once instead of waiting (LOCK_NB)
	Unblock                           // drop the lock; only by itself (LOCK_UN)
)

// mode checks flags that ask for a lock.
func (flags LockFlags) mode() (oslock.Mode, error) {
	switch flags &^ NonBlocking {
	case Exclusive:
		return oslock.Exclusive, nil
	case Shared:
		return oslock.Shared, nil
	}
	return 0, fmt.Errorf("flags %#x: use Exclusive or Shared, one of them, with or without NonBlocking", uint8(flags))
}

// FileArgument is an open file: an *os.File, or FD for a bare descriptor. Where
// it also offers SyscallConn, as *os.File does, that is used and Fd is not
// called, since Fd may change how the file works.
type FileArgument interface{ Fd() uintptr }

// FD is a bare descriptor (on Windows a handle) as a FileArgument. The caller
// keeps it open over the call.
type FD uintptr

// Fd gives the descriptor.
func (fd FD) Fd() uintptr { return uintptr(fd) }

// LockFile locks an open file with the platform's own mechanism (flock,
// LockFileEx, or fcntl where there is no flock). Flags are Exclusive or Shared;
// without NonBlocking it waits in the kernel, which parks an OS thread and
// cannot be cancelled: to wait with a timeout or a context, use Lock.
//
// On a file that has a lock already it converts that lock; with flock a
// conversion is not atomic, and one that fails may have lost the lock.
// A lock belongs to the open file, and ends with UnlockFile or when the last
// copy of its descriptor is closed.
//
// The error is a *LockError: ErrAlreadyLocked with NonBlocking when somebody
// else has the lock, ErrUnsupported where there is no such lock. LockFile is
// safe for goroutines.
func LockFile(f FileArgument, flags LockFlags) error {
	if flags == Unblock {
		return UnlockFile(f)
	}
	mode, err := flags.mode()
	if err == nil {
		err = withFD(f, func(fd uintptr) error {
			if flags&NonBlocking != 0 {
				return oslock.Try(fd, oslock.Default, mode)
			}
			return oslock.Block(fd, oslock.Default, mode)
		})
	}
	return fileError("lock", f, err)
}

// UnlockFile drops a lock that LockFile took. It works at once, also where
// another process has a copy of the descriptor. To unlock a file that is not
// locked is no error, as with flock(2). It is safe for goroutines.
func UnlockFile(f FileArgument) error {
	return fileError("unlock", f, withFD(f, func(fd uintptr) error { return oslock.Unlock(fd, oslock.Default) }))
}

func withFD(f FileArgument, use func(fd uintptr) error) error {
	if isNil(f) {
		return errors.New("no file: the argument is nil")
	}
	c, ok := f.(syscall.Conn)
	if !ok {
		return use(f.Fd())
	}
	conn, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var useErr error
	if conn.Control(func(fd uintptr) { useErr = use(fd) }) != nil {
		return os.ErrClosed // the one reason why a file gives no descriptor
	}
	return useErr
}

func isNil(f FileArgument) bool {
	file, ok := f.(*os.File)
	return f == nil || ok && file == nil
}

func fileError(op string, f FileArgument, err error) error {
	if err == nil {
		return nil
	}
	name := "an open file"
	switch named, ok := f.(interface{ Name() string }); {
	case isNil(f):
		name = "nil"
	case ok:
		name = named.Name()
	default:
		if fd, ok := f.(FD); ok {
			name = fmt.Sprintf("descriptor %d", fd)
		}
	}
	return &LockError{Op: op, Path: name, Err: contention(err)}
}

// contention turns the lower layer's word for a held lock into this package's.
func contention(err error) error {
	if errors.Is(err, oslock.ErrLocked) {
		return ErrAlreadyLocked
	}
	return err
}
