package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker/redislock"
)

func newRedisLs(std streams) *cobra.Command {
	o := &redisOptions{}
	cmd := &cobra.Command{
		Use:                   "ls [--redis URL] [--json]",
		Short:                 "List who holds locks on a Redis server and who waits for them",
		Long:                  redisLsLong,
		Example:               redisLsExample,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("ls lists all locks; 'portalocker redis status NAME' tells of one")
			}
			return o.ask(cmd.Context(), func(ctx context.Context, c *redislock.Client) error {
				return o.list(ctx, c, std)
			})
		},
	}
	o.define(cmd, "a JSON array")
	return cmd
}

func (o *redisOptions) list(ctx context.Context, c *redislock.Client, std streams) error {
	locks, unreadable := c.List(ctx)
	if locks == nil {
		return unreadable // the server itself
	}
	var err error
	if o.asJSON {
		elements := make([]redisLockJSON, len(locks))
		for i := range locks {
			elements[i] = lockAsJSON(&locks[i])
		}
		err = writeJSON(std, elements)
	} else {
		err = write(std, peersTable(locks, time.Now()))
	}
	return cmp.Or(err, unreadable)
}

var redisLsLong = strings.TrimSpace(`
List the locks and semaphores on a Redis server: who holds them, and who waits for
them in the order of their turns. All keys of the server are looked at, which takes a
while on a large one, but does not block it. 'portalocker redis --help' has the forms
of URL.

  PID      the process, and
  HOST     the machine that it runs on
  STATE    holds or waits
  SINCE    for how long, as far as the clocks of the server and of this machine agree
  MODE     exclusive or shared; 1 of N for a semaphore
  FENCE    the number of the holder, greater than that of each before it
  NAME     the lock

Of each lock the first hundred that wait are listed. A lock that cannot be read, where
another program has put its own data into the record, is told of on standard error.

--json writes an array of objects with the fields name, fence (the last), owners,
waiting (how many wait), waiters (the first hundred), and python (how many are on
the channel of that name, by Python's portalocker or --pywire: another lock). Owners and
waiters are objects with the fields id, pid, host, mode (exclusive, shared or permit),
permits, fence and since, an RFC 3339 time. What does not exist is null.

Exit status:
  0    also if there are no locks
  64   wrong usage, such as a malformed URL
  66   a file cannot be read: @FILE, or one for TLS
  69   the server cannot be reached, or refuses; or some of the locks cannot be read,
       and all the others are listed
  71   the list cannot be written`)

var redisLsExample = strings.Trim(`
  portalocker redis ls --redis redis://db1
  portalocker redis ls --redis 'rediss://db1?ca_file=/etc/ca.pem'
  portalocker redis ls --redis redis://db1 --json | jq '.[] | select(.waiting > 0).name'`, "\n")
