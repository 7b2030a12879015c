package redislock

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxName is the longest name of a lock, in bytes. Redis would take 512 MB, but
// every command sends the name several times.
const maxName = 4096

const prefix = "portalocker:"

// keysOf are the keys of a lock, as the scripts expect them. They share the name as
// their hash tag, so that in a cluster one server has them all.
func keysOf(name string) []string {
	p := prefix + "{" + escape(name) + "}:"
	return []string{p + "owners", p + "queue", p + "waiters", p + "fence"}
}

// sessionKey is the key and the channel of a session; in a cluster it stands by the
// keys of the one lock that it is for.
func sessionKey(id, name string, cluster bool) string {
	if cluster {
		return prefix + "{" + escape(name) + "}:session:" + id
	}
	return prefix + "session:" + id
}

// nameOf is the reverse of keysOf; it is false for other keys.
func nameOf(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, prefix+"{")
	if !ok {
		return "", false
	}
	escaped, _, ok := strings.Cut(rest, "}:")
	name, err := url.PathUnescape(escaped)
	return name, ok && err == nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name has %d bytes, %d are allowed", len(name), maxName)
	}
	return nil
}

// escape makes a name fit for a hash tag, where "}" would end it, and for the
// entries of the scripts, whose fields spaces separate: what is not a printable
// character of ASCII, and a few that are, becomes %XX.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c > ' ' && c < 0x7f && !strings.ContainsRune("%{}*?[]\\", rune(c)) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
