// Command portalocker holds locks for shell scripts, cron jobs and deployments: it
// is a superset of flock(1) that runs on every platform. Each subcommand has a file
// of its own.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

//go:generate go test -run TestManualPages$ -update

// streams are the standard streams of this program and of the commands it runs.
// They are files, so that a command gets them themselves and nothing is copied.
type streams struct{ in, out, err *os.File }

func main() {
	std := streams{os.Stdin, os.Stdout, os.Stderr}
	if underFlocksName(os.Args[0]) {
		os.Exit(flock("flock", os.Args[1:], std))
	}
	end := execute(os.Args[1:], std)
	if end.raise != nil {
		dieOf(end.raise)
	}
	os.Exit(end.status)
}

// execute is the whole program under its own name. What is to be said is said when
// it returns.
func execute(args []string, std streams) *exit {
	if len(args) > 0 && args[0] == "flock" {
		return &exit{status: flock("portalocker flock", args[1:], std)}
	}
	root := newRoot(std)
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return &exit{}
	}
	// What has no status comes from cobra, which only parses: wrong usage.
	end := &exit{status: statusUsage, err: err}
	errors.As(err, &end)
	if end.status == statusUsage && end.err != nil {
		end.err = fmt.Errorf("%w; see '%s --help'", end.err, cmd.CommandPath())
	}
	if end.err != nil {
		complain(std, end.err)
	}
	return end
}

func newRoot(std streams) *cobra.Command {
	root := &cobra.Command{
		Use:                "portalocker",
		Short:              "Locks for scripts, cron jobs and deployments",
		Long:               rootLong,
		Example:            rootExample,
		Version:            version(),
		SilenceErrors:      true, // execute reports them
		SilenceUsage:       true,
		DisableSuggestions: true, // they take several lines
		RunE:               func(*cobra.Command, []string) error { return errors.New("no command given") },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().BoolP("version", "V", false, "print the version")
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.AddCommand(newRun(std))
	root.AddCommand(newFlock(std))
	root.AddCommand(newLs(std))
	root.AddCommand(newWrite(std))
	root.AddCommand(newRedis(std))
	return root
}

// version is what the Go command knew when it built this program: a released
// version, or one made of the commit.
func version() string {
	v := "(unknown version)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("%s (%s %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

var rootLong = strings.TrimSpace(`
portalocker runs commands under a lock on a file. It shares these locks with every
program that locks files: flock(1), Python's portalocker, and others. A lock ends
with the last program that has it, however that ends: no lock is ever left over.
Across machines it locks on a Redis server.`)

var rootExample = strings.Trim(`
  portalocker run job.lock -- ./backup.sh           one backup at a time, others wait
  portalocker run -n job.lock -- ./backup.sh        or do not wait: exit with status 1
  portalocker run --slots 4 render -- ./render.sh   four at a time
  portalocker ls job.lock                           who has the lock, and who waits
  make-list | portalocker write --replace list      the whole new list, or the old one
  portalocker run --redis redis://db1 nightly -- ./backup.sh       one on all machines
  portalocker flock -w 10 job.lock ./backup.sh      with the options of flock(1)`, "\n")
