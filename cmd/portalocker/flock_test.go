package main

import (
	"runtime"
	"testing"
)

// The subcommand is the same program; only its advice differs.
func TestFlockAsASubcommand(t *testing.T) {
	for _, c := range []struct {
		args      []string
		status    int
		out, errs string
	}{
		{[]string{"flock", lockFile(t), "--", self, "@exit", "5"}, statusNoCommand, "", "flock: failed to execute --: No such file"},
		{[]string{"flock", lockFile(t), self, "@exit", "5"}, 5, "", ""},
		{[]string{"flock", "-n", lockFile(t), self, "@args", "--help"}, 0, `["--help"]`, ""},
		{[]string{"flock", "--help"}, 0, " portalocker flock [options] <file>|<directory> <command>", ""},
		{[]string{"flock", "-V"}, 0, "flock of portalocker ", ""},
		{[]string{"help", "flock"}, 0, "portalocker flock -w 0.5", ""},
	} {
		try(t, c.args...).want(t, c.status, c.out, c.errs)
	}
	r := try(t, "flock", "-z")
	if r.status != statusUsage || r.err != "flock: invalid option -- 'z'\nTry 'portalocker flock --help' for more information.\n" {
		t.Errorf("got %+v", r)
	}
}

func TestFlockConflict(t *testing.T) {
	path, holder := heldLock(t)
	for _, c := range []struct {
		options []string
		status  int
		errs    string
	}{
		{[]string{"-n"}, statusConflict, ""},
		{[]string{"-w", "0"}, statusConflict, ""},
		{[]string{"-w", "0.01", "-E", "9"}, 9, ""},
		{[]string{"-s", "-n", "--verbose"}, statusConflict, "flock: failed to get lock"},
		{[]string{"-w", "0.01", "--verbose"}, statusConflict, "flock: timeout while waiting to get lock"},
	} {
		try(t, append(append([]string{"flock"}, c.options...), path, self, "@exit", "0")...).want(t, c.status, "", c.errs)
	}
	waiter := start(t, "flock", path, self, "@exit", "4")
	limited := start(t, "flock", "-w", "1000", path, self, "@exit", "5")
	holder.finish().want(t, 0, "", "")
	waiter.finish().want(t, 4, "", "")
	limited.finish().want(t, 5, "", "")
}

func TestFlockWhereLocksAreNotInherited(t *testing.T) {
	if inheritable() {
		t.Skip("they are on", runtime.GOOS)
	}
	try(t, "flock", "1").want(t, statusUsage, "", "locks of this system end with the process")
}

func TestUnderFlocksName(t *testing.T) {
	for name, want := range map[string]bool{
		"flock": true, "/usr/local/bin/flock": true, "./flock": true, "FLOCK.EXE": true, "flock.exe": true,
		"portalocker": false, "": false, "flocks": false, "flock/portalocker": false,
	} {
		if underFlocksName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
