package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker"
)

// wordsOf makes a command line of a text: NUL is the one byte that no argument has.
func wordsOf(line string) []string {
	if line == "" {
		return nil
	}
	return strings.Split(line, "\x00")
}

// FuzzFlock: every command line of flock(1) is a plan, or an error of usage.
func FuzzFlock(f *testing.F) {
	for _, seed := range []string{
		"", "-n\x00file\x00cmd", "-w5\x00-E\x0077\x00--\x00file\x00cmd\x00-x", "--wait=0x1p3\x00file\x00-c\x00a b", "-u\x009", "--no",
		"-sxeunoF\x00f\x00c", "--\x00-", "-\x00-c", "--conflict-exit-code=256\x00f\x00c", "-?", "-:", "--=", "-w\x00nan\x00f\x00c", "-w-1\x003", "\x00", "\xff\x00-\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := wordsOf(line)
		plan, err := parseFlock(args)
		switch {
		case err != nil:
			mustBeUsage(t, args, err)
		case plan.asked != 0:
		case plan.noFork && plan.close, plan.conflict < 0, plan.conflict > 255:
			t.Errorf("%q: %+v", args, plan)
		case plan.flags != portalocker.Exclusive && plan.flags != portalocker.Shared && plan.flags != portalocker.Unblock:
			t.Errorf("%q: %+v", args, plan)
		case plan.ofDescriptor():
			if plan.path != "" {
				t.Errorf("%q: %+v", args, plan)
			}
		case plan.byShell == (len(plan.command) > 0):
			t.Errorf("%q: %+v", args, plan)
		case !plan.byShell && plan.command[len(plan.command)-1] != args[len(args)-1]:
			t.Errorf("%q: the command is %q", args, plan.command)
		}
	})
}

// FuzzRun: the same of "portalocker run".
func FuzzRun(f *testing.F) {
	for _, seed := range []string{
		"", "job.lock\x00--\x00./backup.sh\x00--full", "-n\x00job.lock\x00true", "-w90s\x00-E75\x00x\x00y", "-s\x00-x\x00l\x00c", "--slots\x004\x00render\x00--\x00cmd",
		"job.lock\x00-c\x00a | b", "--pid\x00/run/x\x00--\x00c", "-F\x00-o\x00l\x00c", "--redis\x00redis://u:p@h/0\x00n\x00--\x00c", "--mechanism=odf\x00l\x00c",
		"-w\x00-1\x00l\x00c", "--timeout=1e400\x00l\x00c", "\x00c", "-c\x00\x00l", "--\x00--\x00--\x00--", "--slots=0x10\x00n\x00c", "--kill-after=1\x00l\x00c", "-E\x00256\x00l\x00c",
	} {
		f.Add(seed)
	}
	std := streams{os.Stdin, os.Stdout, os.Stderr}
	f.Fuzz(func(t *testing.T, line string) {
		args := wordsOf(line)
		cmd := newRun(std)
		var o *runOptions
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			o = optionsOf(cmd)
			return o.parse(cmd, args)
		}
		if len(args) == 0 {
			args = []string{} // for nil cobra takes those of this process
		}
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(discard{})
		cmd.SetErr(discard{})
		err := cmd.Execute()
		switch {
		case err != nil && o != nil:
			mustBeUsage(t, args, err)
		case err != nil: // of the options: execute makes an error of usage of it
		case o == nil: // asked for help
		case o.lock == "", (o.shell != "") == (len(o.command) > 0), o.timeout < 0, o.conflict < 0, o.conflict > 255, o.slots < 0:
			t.Errorf("%q: %+v", args, o)
		case o.shared && o.exclusive, o.temp && o.pid, o.slots > 0 && o.shared, o.noFork && o.close:
			t.Errorf("%q: %+v", args, o)
		case len(o.command) > 0 && o.command[len(o.command)-1] != args[len(args)-1]:
			t.Errorf("%q: the command is %q", args, o.command)
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// optionsOf takes the options of a "run" from its flags.
func optionsOf(cmd *cobra.Command) *runOptions {
	flags := cmd.Flags()
	is := func(name string) bool {
		value, _ := flags.GetBool(name)
		return value
	}
	o := &runOptions{
		shared: is("shared"), exclusive: is("exclusive"), nonblock: is("nonblock"), close: is("close"), noFork: is("no-fork"),
		verbose: is("verbose"), temp: is("temp"), pid: is("pid"),
		timeout:   *flags.Lookup("timeout").Value.(*timeoutFlag),
		conflict:  *flags.Lookup("conflict-exit-code").Value.(*statusFlag),
		slots:     *flags.Lookup("slots").Value.(*slotsFlag),
		mechanism: *flags.Lookup("mechanism").Value.(*mechanismFlag),
		redis:     *flags.Lookup("redis").Value.(*serverFlag),
		leaseTTL:  *flags.Lookup("lease-ttl").Value.(*durationFlag),
		killAfter: *flags.Lookup("kill-after").Value.(*durationFlag),
		shell:     *flags.Lookup("command").Value.(*shellFlag),
	}
	o.directory, _ = flags.GetString("directory")
	return o
}

func mustBeUsage(t *testing.T, args []string, err error) {
	t.Helper()
	end := (*exit)(nil)
	if !errors.As(err, &end) || end.status != statusUsage || end.err == nil {
		t.Errorf("%q: %v is no error of usage", args, err)
	}
}

// FuzzServerURL: a URL is refused or understood, and no password is in what is said
// of it, nor left where secretsOf looks for one.
func FuzzServerURL(f *testing.F) {
	for _, seed := range []string{
		"redis://h", "rediss://u:SECRET@h:1/2?ca_file=x", "unix:///run/r.sock?db=1", "unix://u:SECRET@/s", "redis+sentinel://a,b:1/m/0?sentinel_password=SECRET",
		"redis+cluster://[::1]:7000,h", "redis://:SECRET@h", "redis://u:SECRET/x@h", "redis://u:SECRET", "SECRET", "redis://u:%zzSECRET@h", "redis://h/SECRET",
		"redis://u:a@SECRET@h?x", "rediss://h?password=SECRET#", "redis://h?SECRET=1", "REDIS://h:99999", "redis://h,SECRET",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseServerURL(text)
		if err == nil {
			said := u.String()
			shared := strings.Join(u.hosts, ",") + u.socket + u.master + u.scheme // of what a password may be a part
			for _, password := range []string{u.password, u.sentinelPassword} {
				if len(password) > 8 && strings.Contains(said, password) && !strings.Contains(shared, password) {
					t.Errorf("%q: %q has the password", text, said)
				}
			}
			if strings.ContainsAny(u.String(), "\n\x1b") {
				t.Errorf("%q: %q would speak to the terminal", text, u)
			}
			if len(u.hosts) == 0 && u.socket == "" || u.db < 0 {
				t.Errorf("%q: %+v", text, u)
			}
		}
		covered := []byte(text)
		for _, span := range secretsOf(text) {
			if span[0] < 0 || span[0] > span[1] || span[1] > len(text) {
				t.Fatalf("%q: %v is out of bounds", text, span)
			}
			clear(covered[span[0]:span[1]])
		}
		if err == nil && len(u.password) > 8 && !strings.ContainsAny(u.password, "%") && strings.Contains(string(covered), u.password) && strings.Count(text, u.password) == 1 {
			t.Errorf("%q: the password stays in the list of processes", text)
		}
	})
}

// FuzzServerURLErrors: wherever in a URL a password stands, an error does not have it.
func FuzzServerURLErrors(f *testing.F) {
	f.Add("redis://u:", "@h:99999", "")
	f.Add("redis://u:", "/@h", "")
	f.Add("rediss+sentinel://h/m?sentinel_password=", "", "&x")
	f.Add("redis://", ":@", "?")
	f.Fuzz(func(t *testing.T, before, after, more string) {
		const password = "Xq7-password-Zk9"
		if strings.Contains(before+after+more, password) {
			return
		}
		for _, text := range []string{before + password + after + more, before + after + password + more} {
			// What is read as a scheme, or as the name of a parameter, is told.
			scheme, rest, _ := strings.Cut(text, "://")
			_, query, _ := strings.Cut(rest, "?")
			named := false
			for pair := range strings.SplitSeq(query, "&") {
				name, _, _ := strings.Cut(pair, "=")
				named = named || strings.Contains(name, password)
			}
			if strings.Contains(scheme, password) || named {
				continue
			}
			if _, err := parseServerURL(text); err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
