package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker/redislock"
)

func newRedisCheck(std streams) *cobra.Command {
	o := &redisOptions{}
	cmd := &cobra.Command{
		Use:                   "check [--redis URL] [--json]",
		Short:                 "Look whether a Redis server is fit for locks",
		Long:                  redisCheckLong,
		Example:               redisCheckExample,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("check takes no arguments; --redis says where the server is")
			}
			return o.ask(cmd.Context(), func(ctx context.Context, c *redislock.Client) error {
				return o.check(ctx, c, std)
			})
		},
	}
	o.define(cmd, "a JSON array")
	return cmd
}

// statusUnfit is what grep(1), diff(1) and their like end with for a "no".
const statusUnfit = 1

// findingJSON is something about a server that endangers locks.
type findingJSON struct {
	Server  string `json:"server"`
	Fatal   bool   `json:"fatal"`
	Subject string `json:"subject"`
	Message string `json:"message"`
}

func (o *redisOptions) check(ctx context.Context, c *redislock.Client, std streams) error {
	findings, err := c.Check(ctx)
	if err != nil {
		return err
	}
	if o.asJSON {
		elements := make([]findingJSON, len(findings))
		for i, f := range findings {
			elements[i] = findingJSON(f)
		}
		err = writeJSON(std, elements)
	} else {
		var out bytes.Buffer
		for _, f := range findings {
			_, _ = fmt.Fprintln(&out, plain(f.String())) // a Buffer takes all
		}
		if len(findings) == 0 {
			_, _ = fmt.Fprintln(&out, "all is well: nothing was found that endangers locks")
		}
		err = write(std, out.Bytes())
	}
	if err == nil && slices.ContainsFunc(findings, func(f redislock.Finding) bool { return f.Fatal }) {
		return &exit{status: statusUnfit}
	}
	return err
}

var redisCheckLong = strings.TrimSpace(`
Look at what makes a Redis server unfit for locks: a version that is too old, a
replica instead of a master, settings by which it may forget a lock that is held, and
commands that it does not allow to this user. Nothing is changed; one key,
portalocker:{check}:check, is written and deleted. 'portalocker redis --help' has the
forms of URL.

Each finding is a line: the server, "error" or "warning", what, and what to do. With
an error, locks do not work on the server or may be lost at any time.

--json writes an array of objects with the fields server, fatal, subject and message.

Exit status:
  0    no errors; there may be warnings
  1    there is an error among the findings
  64   wrong usage, such as a malformed URL
  66   a file cannot be read: @FILE, or one for TLS
  69   the server cannot be reached, or lets nobody in
  71   the findings cannot be written`)

var redisCheckExample = strings.Trim(`
  portalocker redis check --redis redis://db1
  portalocker redis check --redis redis://db1 && ./deploy.sh`, "\n")
