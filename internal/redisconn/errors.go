package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that a server could not be asked, so that nothing is known
// of the lock: it is neither locked nor free.
var ErrUnavailable = errors.New("redis server unavailable")

// unfit are the error codes by which a server says that it cannot serve a lock now,
// and what to do about each. Inside a script a code stands somewhere in the
// middle of the message, with servers before 7.0.
var unfit = []struct{ code, advice string }{
	{"LOADING", "it is still reading its data from disk: try again when it has done so"},
	{"NOAUTH", "it asks for a password: give the client one"},
	{"WRONGPASS", "it refuses the user or the password that the client has"},
	{"NOPERM", "its ACL forbids that to this user: docs/redis.md has the list of what it must allow"},
	{"READONLY", "it is a replica: connect to the master"},
	{"MASTERDOWN", "it is a replica that has lost its master: connect to the master"},
	{"OOM", "it is full: raise maxmemory, or free some"},
	{"MISCONF", "it cannot save its data and refuses to write: look into its log"},
	{"NOREPLICAS", "it has too few replicas to be allowed to write (min-replicas-to-write)"},
	{"BUSY", "a script blocks it: end that with SCRIPT KILL"},
	{"CLUSTERDOWN", "its cluster is down: look at CLUSTER INFO"},
	{"TRYAGAIN", "its cluster is moving these keys: try again"},
	{"MOVED", "it is one server of a cluster: make the client with redis.NewClusterClient"},
	{"DENIED", "it is in protected mode and takes no clients from other machines: give it a password or a bind address"},
	{"max number of clients", "it has as many clients as it allows: raise maxclients, or close some"},
	// What a user may not do in a script has no code of its own, in 7.0 as in 6.2.
	{"The user executing the script", "its ACL forbids that to this user: docs/redis.md has the list of what it must allow"},
}

// Explain makes an error of a command into one that names the server and says
// what to do. An answer of the server that it does not know it only gives the address.
func (c *Conn) Explain(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) {
		return err
	}
	for _, u := range unfit {
		if hasCode(err, u.code) {
			return fmt.Errorf("%w: %s: %s (%w)", ErrUnavailable, c.Address(), u.advice, err)
		}
	}
	var network net.Error
	switch {
	case errors.Is(err, redis.ErrClosed), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout(), errors.Is(err, redis.ErrPoolTimeout):
		// Not %w: the caller's context has not ended.
		return fmt.Errorf("%w: %s does not answer: is it running, and can it be reached from here? (%v)", ErrUnavailable, c.Address(), err)
	case Final(err):
		return fmt.Errorf("redis at %s: %w", c.Address(), err)
	}
	return fmt.Errorf("%w: %s: is it running, and can it be reached from here? (%w)", ErrUnavailable, c.Address(), err)
}

// Final says whether the server gave an answer, though an error: to ask again will
// not help.
func Final(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

func hasCode(err error, code string) bool {
	if !Final(err) {
		return false
	}
	msg := err.Error()
	for _, code := range []string{code + " ", "ERR " + code + " "} {
		if strings.HasPrefix(msg, code) || strings.Contains(msg, "-"+code) || strings.Contains(msg, ": "+code) {
			return true
		}
	}
	return false
}
