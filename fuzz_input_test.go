package portalocker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzMode: the modes that are taken are those of the table, in any order of their
// letters, and mean what it says.
func FuzzMode(f *testing.F) {
	for _, seed := range []string{"r", "r+b", "wt", "+a", "bx+", "", "rw", "r++", "rbt", "U", "a\x00", "ä"} {
		f.Add(seed)
	}
	table := map[string]access{
		"r": {read: true},
		"w": {write: true, create: true, truncate: true},
		"a": {write: true, create: true, append: true},
		"x": {write: true, create: true, excl: true},
	}
	f.Fuzz(func(t *testing.T, mode string) {
		rest := mode
		for _, optional := range []string{"+", "b", "t"} {
			rest = strings.Replace(rest, optional, "", 1)
		}
		want, known := table[rest]
		known = known && !(strings.Contains(mode, "b") && strings.Contains(mode, "t"))
		if strings.Contains(mode, "+") {
			want.read, want.write = true, true
		}
		got, err := Mode(mode).parse()
		switch {
		case (err == nil) != known:
			t.Errorf("%q: %v", mode, err)
		case known && got != want:
			t.Errorf("%q is %+v, not %+v", mode, got, want)
		case !known:
			isOneLine(t, err)
		}
	})
}

// FuzzFilenamePattern: a pattern never panics, and makes a name of a file or an error.
func FuzzFilenamePattern(f *testing.F) {
	for _, seed := range []string{"{name}.{number:02d}.lock", "{{{name}}}", "{number:99}", "{number:0d}", "{number:}", "{", "}", "{}{name", "{name!r}", "../{name}", "a\\b", "%d{number}", "\x00"} {
		f.Add(seed, "printer", 7)
	}
	f.Add("{name}", "{number}{{", -1)
	f.Fuzz(func(t *testing.T, pattern, name string, number int) {
		file, err := expandPattern(pattern, name, number)
		if err != nil {
			isOneLine(t, err)
			return
		}
		if file == "" || strings.ContainsAny(file, `/\`) {
			t.Errorf("%q makes %q, which is no file name", pattern, file)
		}
		if !strings.ContainsAny(pattern, "{}") && file != pattern {
			t.Errorf("%q makes %q", pattern, file)
		}
	})
}

// FuzzFilenamePatternRoundTrip: text comes out of a pattern as it was put in, with its
// braces doubled, and the name and the number come out as they are.
func FuzzFilenamePatternRoundTrip(f *testing.F) {
	f.Add("", ".", ".lock", "printer", uint16(3), uint8(2))
	f.Add("{", "}{number}", "%d", "{name}", uint16(12), uint8(0))
	doubled := strings.NewReplacer("{", "{{", "}", "}}")
	f.Fuzz(func(t *testing.T, begin, middle, end, name string, number uint16, width uint8) {
		width %= 100
		spec := ""
		if width > 0 {
			spec = fmt.Sprintf(":0%dd", width)
		}
		want := begin + name + middle + fmt.Sprintf("%0*d", width, number) + end
		pattern := doubled.Replace(begin) + "{name}" + doubled.Replace(middle) + "{number" + spec + "}" + doubled.Replace(end)
		got, err := expandPattern(pattern, name, int(number))
		if refused := strings.ContainsAny(want, `/\`); refused != (err != nil) || !refused && got != want {
			t.Errorf("%q with %q and %d: %q, %v; not %q", pattern, name, number, got, err, want)
		}
	})
}

// FuzzPIDFile: what is taken for a PID is what Itoa writes for one, with white space
// around it and zeros before it at most.
func FuzzPIDFile(f *testing.F) {
	for _, seed := range []string{"1", "4242\n", "\t7\r\n", "007", "0", "-1", "+1", "0x10", "1_0", "1 2", "2147483647", "2147483648", "\x1b[31m1", "١", "1\x00", strings.Repeat(" ", 64) + "1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		pid, err := parsePID(content)
		if err != nil {
			isOneLine(t, err)
			if pid != 0 {
				t.Errorf("%q: %d beside an error", content, pid)
			}
		} else if digits := strings.TrimLeft(strings.TrimSpace(string(content)), "0"); pid < 1 || strconv.Itoa(pid) != digits {
			t.Errorf("%q is %d", content, pid)
		}
		if n, convErr := strconv.ParseInt(string(content), 10, 32); convErr == nil && n > 0 && strconv.Itoa(int(n)) == string(content) && err != nil {
			t.Errorf("%q is refused: %v", content, err)
		}
	})
}

// FuzzMessage: a LockError is one line of plain text, whatever paths, hosts, commands
// and errors below are called.
func FuzzMessage(f *testing.F) {
	f.Add("job.lock", "host", "backup.sh", "already locked", "context canceled")
	f.Add("a\nb", "\x1b[31m", "\u202eevil", "two\nlines", "\u009b31m\xff")
	f.Fuzz(func(t *testing.T, path, host, command, reason, cause string) {
		err := &LockError{
			Op: "acquire", Path: path, Err: errors.New(reason),
			HolderPID: 1, HolderHost: host, HolderCommand: command, Cause: errors.New(cause),
		}
		isOneLine(t, err)
	})
}

// isOneLine fails unless an error is one line of what can be printed.
func isOneLine(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q is not one line of plain text", text)
	}
}
