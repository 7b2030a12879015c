package redislock

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
)

// FuzzNames: a key tells its lock's name, nothing in a name can end the hash tag or
// a word of an entry, and other keys have no name.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"job", "a b", "}", "{x}:owners", "%", "%7D", "\x00", "ä\n", "*?[]\\", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		escaped := escape(name)
		if strings.ContainsFunc(escaped, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("{}*?[]\\", r) }) {
			t.Errorf("%q is escaped as %q", name, escaped)
		}
		keys := append(keysOf(name), sessionKey("id", name, true))
		for _, key := range keys {
			if got, ok := nameOf(key); !ok || got != name {
				t.Errorf("%q: the key %q is of %q, %v", name, key, got, ok)
			}
			if strings.Count(key, "{") != 1 || strings.Count(key, "}") != 1 {
				t.Errorf("%q: the key %q has more than a hash tag", name, key)
			}
		}
		// Any key may be on the server; only where there is a name is it one of ours.
		if got, ok := nameOf(name); ok && !strings.HasPrefix(name, prefix+"{") {
			t.Errorf("the key %q is of %q", name, got)
		}
	})
}

// FuzzEntry: an entry is parsed as it was written, and any text makes a peer or none.
func FuzzEntry(f *testing.F) {
	for _, seed := range []string{
		"17 1700000000000000 exclusive 1 portalocker:session:x 4242 host",
		"17 1700000000000000 permit 3 portalocker:session:x 4242 ho%0Ast%1B",
		"-1 -1 x -1 x -1 %", "", "1 2 3", "99999999999999999999 0 a 0 b 0 c", "1 9223372036854775807 a 0 b 0 c",
	} {
		f.Add(seed, "host")
	}
	f.Add("", "\x1b]0;evil\a\n }{%")
	f.Fuzz(func(t *testing.T, text, host string) {
		if p, ok := parseEntry(text); ok {
			_ = p.Since.String()
			if len(strings.Fields(text)) != 7 {
				t.Errorf("%q makes %+v", text, p)
			}
		} else if p != (Peer{}) {
			t.Errorf("%q makes %+v, and is none", text, p)
		}
		peers, err := parsePeers([]any{host, text})
		switch p, ok := parseEntry(text); {
		case !ok && (err == nil || len(peers) > 0):
			t.Errorf("%q makes %+v, and no error", text, peers)
		case ok && (err != nil || len(peers) != 1 || peers[0].ID != host):
			t.Errorf("%q makes %+v of %q, not %+v (%v)", text, peers, host, p, err)
		}
		if host == "" {
			return // never written; see New
		}
		want := Peer{Mode: "shared", Permits: 3, Fence: 5, Since: time.UnixMicro(7), PID: 9, Host: host}
		entry := fmt.Sprintf("5 7 shared 3 session 9 %s", escape(host))
		if got, ok := parseEntry(entry); !ok || got != want {
			t.Errorf("%q is parsed as %+v, %v", entry, got, ok)
		}
	})
}

// FuzzAnswer: a reply of the acquire script, or of a server that is none, makes an
// answer of a known kind, or an error of one line.
func FuzzAnswer(f *testing.F) {
	for _, seed := range [][3]string{
		{"granted", "5"}, {"waiting", "0", "1 2 exclusive 1 s 3 host"}, {"locked", ""}, {"foreign", "2"}, {"over"}, {"withdrawn"},
		{"granted", "x"}, {"waiting", "99999999999999999999"}, {"", "", ""}, {"\x1b[31m\n", "a\nb"},
	} {
		f.Add(seed[0], seed[1], seed[2], uint8(3), int64(1))
	}
	f.Fuzz(func(t *testing.T, state, second, third string, length uint8, number int64) {
		replies := [][]any{
			{state, second, third, nil}, {state, number, third}, {state, []any{second}, nil}, {nil, state}, {number},
		}
		for _, reply := range replies {
			reply = reply[:min(int(length), len(reply))]
			said, err := parseAnswer(reply)
			if err != nil {
				if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q is not one line of plain text", err)
				}
				continue
			}
			if len(reply) == 0 || said.state != reply[0] {
				t.Errorf("%q is taken for %+v", reply, said)
			}
		}
	})
}

// FuzzStatus: a reply of the status script, or of a server that is none, makes a Status
// that has all of it, or an error of one line.
func FuzzStatus(f *testing.F) {
	const entry = "17 1700000000000000 exclusive 1 portalocker:session:x 4242 host"
	for _, seed := range [][2]string{{"17", entry}, {"", entry}, {"x", entry}, {"17", ""}, {"\x1b[31m\n", "a\nb"}} {
		for length := range uint8(6) {
			f.Add(seed[0], seed[1], length, uint8(0), int64(1))
		}
		for change := range uint8(20) {
			f.Add(seed[0], seed[1], uint8(5), change, int64(-1))
		}
	}
	f.Fuzz(func(t *testing.T, fence, entry string, length, change uint8, number int64) {
		reply := []any{fence, []any{"a", entry}, number, []any{"b", entry, "c", entry}, number}
		// One of the five is of another type, or none is.
		if at := int(change) / 4; at < len(reply) {
			reply[at] = []any{nil, number, []any{entry}, map[any]any{"a": entry}}[change%4]
		}
		reply = reply[:min(int(length), len(reply))]
		s, err := parseStatus("x", reply)
		switch {
		case err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }):
			t.Errorf("%q is not one line of plain text", err)
		case err == nil && (len(reply) != 5 || len(s.Owners) != 1 || len(s.Waiters) != 2 || s.Waiting != int(number) || s.Foreign != int(number)):
			t.Errorf("%q is taken for %+v", reply, s)
		}
	})
}

// TestRenewalAnswers: only what the renew script can have said about so many locks is
// taken for an answer.
func TestRenewalAnswers(t *testing.T) {
	const locks = 2
	for _, good := range [][]int64{{0}, {1}, {1, 1}, {1, 1, 2}} {
		if err := checkRenewal(good, locks); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range [][]int64{nil, {}, {1, 0}, {1, 3}, {1, -1}} {
		if checkRenewal(bad, locks) == nil {
			t.Errorf("%v is taken for an answer", bad)
		}
	}
}
