package notify

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Bell is something to wait for that another process can ring by its name: a
// datagram socket in the abstract namespace (unix(7)), which needs no file and is
// gone with its process. Anybody in the same network namespace can ring it, so a
// ring is no more than a hint.
type Bell struct {
	file  *os.File
	rung  chan struct{}
	ended chan struct{} // closed when the reader has ended
}

// HangBell makes a bell. It fails if the name is taken, and where there are no
// such sockets.
func HangBell(name string) (*Bell, error) {
	fd, err := socket()
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, address(name)); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	b := &Bell{file: os.NewFile(uintptr(fd), name), rung: make(chan struct{}, 1), ended: make(chan struct{})}
	go b.listen()
	return b, nil
}

func (b *Bell) listen() {
	defer close(b.ended)
	var ring [1]byte
	for {
		// The end of a file is here a datagram without content, which anybody may send.
		if _, err := b.file.Read(ring[:]); err != nil && err != io.EOF {
			return // closed
		}
		select {
		case b.rung <- struct{}{}:
		default:
		}
	}
}

// Rung receives when the bell was rung. Rings that nobody has heard yet count as
// one.
func (b *Bell) Rung() <-chan struct{} { return b.rung }

// Close takes the bell down.
func (b *Bell) Close() {
	_ = b.file.Close() // ends the read
	<-b.ended
}

// Ring rings the bells of these names, as far as there are such.
func Ring(names ...string) {
	fd, err := socket()
	if err != nil {
		return
	}
	for _, name := range names {
		// Refused where no bell hangs; EAGAIN where it has been rung so often that
		// its process must have been told.
		_ = unix.Sendto(fd, []byte{0}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, address(name))
	}
	_ = unix.Close(fd)
}

func socket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return fd, os.NewSyscallError("socket", err)
}

// address is a name in the abstract namespace, which x/sys writes with an "@".
func address(name string) unix.Sockaddr { return &unix.SockaddrUnix{Name: "@" + name} }
