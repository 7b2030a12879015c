package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker/redislock"
)

func newRedisStatus(std streams) *cobra.Command {
	o := &redisOptions{}
	cmd := &cobra.Command{
		Use:                   "status [--redis URL] [--json] NAME",
		Short:                 "Tell who holds a lock on a Redis server and who waits for it",
		Long:                  redisStatusLong,
		Example:               redisStatusExample,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usageError("give one NAME; 'portalocker redis ls' lists all")
			case args[0] == "":
				return usageError("NAME is an empty string: a variable that is not set?")
			}
			return o.ask(cmd.Context(), func(ctx context.Context, c *redislock.Client) error {
				return o.status(ctx, c, args[0], std)
			})
		},
	}
	o.define(cmd, "a JSON object")
	return cmd
}

func (o *redisOptions) status(ctx context.Context, c *redislock.Client, name string, std streams) error {
	s, err := c.Status(ctx, name)
	if err != nil {
		return err
	}
	if o.asJSON {
		return writeJSON(std, lockAsJSON(&s))
	}
	var out bytes.Buffer
	line := func(what, format string, args ...any) {
		_, _ = fmt.Fprintf(&out, "%-8s %s\n", what+":", fmt.Sprintf(format, args...)) // a Buffer takes all
	}
	line("name", "%s", shown(s.Name))
	state := "free"
	switch {
	case len(s.Owners) > 0:
		state = "held by " + strings.Join(names(s.Owners, time.Now()), ", ")
	case s.Waiting > 0:
		state = "about to be handed over"
	}
	line("state", "%s", state)
	line("waiting", "%d", s.Waiting)
	if s.Fence != 0 {
		line("fence", "%d", s.Fence)
	}
	if s.Foreign > 0 {
		line("python", "%d on the channel of that name, by Python's portalocker or --pywire: another lock, which this one does not exclude", s.Foreign)
	}
	if len(s.Owners)+s.Waiting > 0 {
		out.WriteByte('\n')
		out.Write(peersTable([]redislock.Status{s}, time.Now()))
	}
	return write(std, out.Bytes())
}

// names tells of some of those who hold a lock, in the words of the wait line.
func names(peers []redislock.Peer, now time.Time) (names []string) {
	const most = 3
	for i, p := range peers {
		if i == most {
			return append(names, fmt.Sprintf("%d more", len(peers)-most))
		}
		names = append(names, fmt.Sprintf("pid %d on %s for %s", p.PID, shown(p.Host), age(p, now)))
	}
	return names
}

var redisStatusLong = strings.TrimSpace(`
Tell of the lock or semaphore NAME on a Redis server: who holds it, who waits for it,
and the fence, which is the number that its last holder was given. Those whose
connection has ended do not count any more. 'portalocker redis --help' has the forms
of URL, 'portalocker redis ls --help' says what the columns mean.

--json writes an object with the fields that 'portalocker redis ls --help' names.

Exit status:
  0    whoever has the lock, or nobody
  64   wrong usage, such as a malformed URL
  66   a file cannot be read: @FILE, or one for TLS
  69   the server cannot be reached, or refuses
  71   the answer cannot be written`)

var redisStatusExample = strings.Trim(`
  portalocker redis status --redis redis://db1 nightly
  portalocker redis status --redis redis://db1 --json nightly | jq '.owners[].host'`, "\n")
