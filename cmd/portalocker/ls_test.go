package main

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/proclocks"
)

var lsNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// lsLocks are one of each that looks different.
var lsLocks = []proclocks.Lock{
	{File: proclocks.FileID{Major: 254, Minor: 1, Inode: 77}, Path: "/run/job.lock", Mechanism: oslock.Flock, Mode: oslock.Exclusive, PID: 4242, Command: "backup.sh"},
	{File: proclocks.FileID{Major: 254, Minor: 1, Inode: 77}, Path: "/run/job.lock", Mechanism: oslock.Flock, PID: 4243, Command: "two words", Waiting: true, Since: lsNow.Add(-83 * time.Second)},
	{File: proclocks.FileID{Minor: 41, Inode: 5}, Mechanism: oslock.OFD, Mode: oslock.Shared, Start: 100, Length: 50},
	{File: proclocks.FileID{Major: 8, Inode: 6}, Path: "/a\tb\x1b[31m\xff", Mechanism: oslock.POSIX, Mode: oslock.Shared, Start: 5, PID: 7, Command: "\n"},
}

func TestLsTable(t *testing.T) {
	const want = `PID   COMMAND    STATE  SINCE  MODE       TYPE   BYTES    PATH
4242  backup.sh  holds  -      exclusive  flock  all      /run/job.lock
4243  two words  waits  1m23s  -          flock  all      /run/job.lock
-     -          holds  -      shared     ofd    100-149  0:41:5
7     "\n"       holds  -      shared     posix  5-       "/a\tb\x1b[31m\xff"
`
	if got := string(asTable(lsLocks, lsNow)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := string(asTable(nil, lsNow)); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "PID") {
		t.Errorf("without locks: %q", got)
	}
}

func TestLsArray(t *testing.T) {
	const want = `[
{"path":"/run/job.lock","device":"254:1","inode":77,"pid":4242,"command":"backup.sh","mechanism":"flock","mode":"exclusive","start":0,"length":null,"waiting":false,"since":null},
{"path":"/run/job.lock","device":"254:1","inode":77,"pid":4243,"command":"two words","mechanism":"flock","mode":null,"start":0,"length":null,"waiting":true,"since":"2026-03-04T05:04:44Z"},
{"path":null,"device":"0:41","inode":5,"pid":null,"command":null,"mechanism":"ofd","mode":"shared","start":100,"length":50,"waiting":false,"since":null},
{"path":"/a\tb\u001b[31m` + "\ufffd" + `","device":"8:0","inode":6,"pid":7,"command":"\n","mechanism":"posix","mode":"shared","start":5,"length":null,"waiting":false,"since":null}
]`
	got, err := asArray(lsLocks)
	if err != nil {
		t.Fatal(err)
	}
	if compact(t, got) != compact(t, []byte(want)) {
		t.Errorf("got  %s\nwant %s", compact(t, got), compact(t, []byte(want)))
	}
	if got, err := asArray(nil); err != nil || string(got) != "[]\n" {
		t.Errorf("without locks: %q, %v", got, err)
	}
}

// compact is JSON without spaces; the order of fields stays.
func compact(t *testing.T, content []byte) string {
	t.Helper()
	var elements []lockJSON
	if err := json.Unmarshal(content, &elements); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(elements)
	if err != nil {
		t.Fatal(err)
	}
	return string(again)
}

func TestLsUsage(t *testing.T) {
	try(t, "ls", "").want(t, statusUsage, "", "PATH is an empty string")
	try(t, "ls", lockFile(t), "").want(t, statusUsage, "", "PATH is an empty string")
	try(t, "ls", "--jsno").want(t, statusUsage, "", "unknown flag: --jsno")
	try(t, "ls", "--help").want(t, 0, "portalocker ls --json", "")
	if runtime.GOOS != "linux" {
		for _, args := range [][]string{{"ls"}, {"ls", "--json"}, {"ls", lockFile(t)}} {
			try(t, args...).want(t, statusNotTold, "", "does not tell who holds a lock")
		}
	}
}
