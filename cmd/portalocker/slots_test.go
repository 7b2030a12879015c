package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

func TestRunSlots(t *testing.T) {
	dir := testproc.Folder(t)
	slots := func(n string, options ...string) []string {
		return append(append([]string{"run", "--slots", n, "--directory", dir}, options...), "printer", "--", self)
	}
	var holders []*process
	for range 2 {
		p := start(t, append(slots("2", "-n"), "@hold")...)
		p.ready()
		holders = append(holders, p)
	}
	try(t, append(slots("2", "-n", "-E", "9"), "@exit", "0")...).want(t, 9, "", "acquire printer: all 2 slots are taken: already locked")
	try(t, append(slots("2", "-w", ".02"), "@exit", "0")...).want(t, statusConflict, "", "gave up after")
	waiter := start(t, append(slots("2", "--verbose"), "@exit", "4")...)
	waiter.expect(waiter.err, "portalocker: acquire printer: all 2 slots are taken") // waits from now on
	holders[0].finish().want(t, 0, "", "")
	if r := waiter.finish(); r.status != 4 {
		t.Errorf("the waiter ended with %+v", r)
	}
	try(t, append(slots("2", "-n"), "@exit", "5")...).want(t, 5, "", "")
	holders[1].finish().want(t, 0, "", "")
	if left, err := filepath.Glob(filepath.Join(dir, "printer.0[01].lock")); len(left) != 2 {
		t.Errorf("the files of the slots are %q (%v)", left, err)
	}
}

func TestRunTellsTheCommandItsSlot(t *testing.T) {
	dir := testproc.Folder(t)
	r := try(t, "run", "--slots", "1", "--directory", dir, "printer", "--", self, "@environment", "PORTALOCKER_LOCK")
	if want := filepath.Join(dir, "printer.00.lock"); r.status != 0 || strings.TrimSpace(r.out) != want {
		t.Errorf("got %+v, want %s", r, want)
	}
	if runtime.GOOS == "windows" {
		return // where the place for temporary files has another name
	}
	cmd := portalockerCommand("run", "--slots", "1", "printer", "--", self, "@environment", "PORTALOCKER_LOCK")
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	startCommand(t, cmd).finish().want(t, 0, filepath.Join(dir, "printer.00.lock"), "")
}

func TestRunSlotsUsage(t *testing.T) {
	dir := testproc.Folder(t)
	for _, c := range []struct {
		args    []string
		message string
	}{
		{[]string{"--slots", "0"}, "from 1 to 65535"},
		{[]string{"--slots", "-1"}, "from 1 to 65535"},
		{[]string{"--slots", "65536"}, "from 1 to 65535"},
		{[]string{"--slots", "two"}, "from 1 to 65535"},
		{[]string{"--slots", "2", "-s"}, "--slots and --shared"},
		{[]string{"--slots", "2", "--temp"}, "--slots and --temp"},
		{[]string{"--slots", "2", "--pid"}, "--slots and --pid"},
		{[]string{"--directory", dir}, "--directory goes with --slots"},
		{[]string{"--slots", "2", "--directory", ""}, "--directory is an empty string"},
	} {
		try(t, append(append([]string{"run"}, c.args...), "printer", "true")...).want(t, statusUsage, "", c.message)
	}
	try(t, "run", "--slots", "2", filepath.Join(dir, "printer"), "true").want(t, statusUsage, "", "is a name, not a path")
	if left, err := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("wrong usage touched files: %v (%v)", left, err)
	}
	try(t, "run", "--slots", "2", "--directory", filepath.Join(dir, "missing"), "printer", "true").
		want(t, statusNoInput, "", "the folder of a lock file must exist")
}
