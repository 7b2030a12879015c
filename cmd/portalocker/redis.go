package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker/redislock"
)

// What the environment says of servers. COMMAND finds it there, too.
const (
	urlVariable      = "PORTALOCKER_REDIS_URL"
	usernameVariable = "PORTALOCKER_REDIS_USERNAME"
	passwordVariable = "PORTALOCKER_REDIS_PASSWORD"
)

func newRedis(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "redis ls|status|check",
		Short:                 "Look at the locks of a Redis server, and at the server",
		Long:                  redisLong,
		Example:               redisExample,
		DisableFlagsInUseLine: true,
		RunE: func(*cobra.Command, []string) error {
			return usageError("give one of the commands ls, status and check")
		},
	}
	cmd.AddCommand(newRedisLs(std), newRedisStatus(std), newRedisCheck(std))
	return cmd
}

// redisOptions are those of every command under "portalocker redis".
type redisOptions struct {
	server serverFlag
	asJSON bool
}

func (o *redisOptions) define(cmd *cobra.Command, content string) {
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(&o.server, "redis", "the server (default: "+urlVariable+" in the environment)")
	f.BoolVar(&o.asJSON, "json", false, "write "+content+", for programs")
	completeServer(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// ask connects to the server, and asks it.
func (o *redisOptions) ask(ctx context.Context, question func(context.Context, *redislock.Client) error) error {
	if o.server.text == "" && !o.server.given {
		o.server.text = os.Getenv(urlVariable)
		if o.server.text == "" {
			return usageError("no server given: --redis URL says where it is, or %s in the environment", urlVariable)
		}
	}
	server, err := o.server.open()
	if err != nil {
		return err
	}
	defer server.close()
	if err := question(ctx, server.locks); err != nil {
		return serverFailed(err)
	}
	return nil
}

// serverFlag is the URL of a server, or @FILE. Errors of the flag itself would
// repeat it, and it may have a password: so open looks at it, not Set.
type serverFlag struct {
	text  string
	given bool
}

func (f *serverFlag) String() string { return "" }

func (f *serverFlag) Type() string { return "URL" }

func (f *serverFlag) Set(s string) error {
	f.text, f.given = strings.Clone(s), true // hide changes s itself
	for _, span := range secretsOf(s) {
		hide(s[span[0]:span[1]])
	}
	return nil
}

// server is a Redis server, and the locks on it.
type server struct {
	url    *serverURL
	client redis.UniversalClient
	locks  *redislock.Client
}

// open reads the URL and makes the clients, which do not talk to the server yet.
func (f *serverFlag) open(opts ...redislock.Option) (*server, error) {
	text := f.text
	if path, ok := strings.CutPrefix(text, "@"); ok {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, &exit{status: statusNoInput, err: err}
		}
		text = strings.TrimSpace(string(content))
	}
	if text == "" {
		return nil, usageError("the URL of the server is an empty string: a variable that is not set?")
	}
	u, err := parseServerURL(text)
	if err == nil {
		err = u.complete(os.Getenv)
	}
	if err != nil {
		return nil, usageError("the URL of the server: %w", err)
	}
	redis.SetLogger(silence{}) // it would write to standard error what the errors here say
	client, err := u.client()
	if err != nil {
		return nil, err
	}
	return &server{url: u, client: client, locks: redislock.New(client, opts...)}, nil
}

// close does not wait for long for a server that may be silent: what it has not
// heard of ends with the connections.
func (s *server) close() {
	const patience = time.Second
	closed := make(chan struct{})
	go func() {
		_, _ = s.locks.Close(), s.client.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
	}
}

// silence is go-redis's logger.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// serverFailed is the end of this program when the server has not answered, or has
// refused.
func serverFailed(err error) *exit {
	var known *exit
	if errors.As(err, &known) {
		return known
	}
	return &exit{status: statusNoServer, err: err}
}

// peerJSON is one who holds a lock or waits for it. What does not exist is null.
type peerJSON struct {
	ID      string    `json:"id"`
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Mode    string    `json:"mode"`
	Permits *int      `json:"permits"`
	Fence   *int64    `json:"fence"`
	Since   time.Time `json:"since"`
}

// redisLockJSON is a lock.
type redisLockJSON struct {
	Name    string     `json:"name"`
	Fence   *int64     `json:"fence"`
	Owners  []peerJSON `json:"owners"`
	Waiting int        `json:"waiting"`
	Waiters []peerJSON `json:"waiters"`
	Python  int        `json:"python"`
}

func lockAsJSON(s *redislock.Status) redisLockJSON {
	peers := func(all []redislock.Peer) []peerJSON {
		elements := make([]peerJSON, len(all))
		for i, p := range all {
			elements[i] = peerJSON{p.ID, p.PID, p.Host, p.Mode, known(p.Permits), known(p.Fence), p.Since.UTC()}
		}
		return elements
	}
	return redisLockJSON{s.Name, known(s.Fence), peers(s.Owners), s.Waiting, peers(s.Waiters), s.Foreign}
}

// peersTable makes a line for each who holds one of the locks or waits for it, as
// "portalocker ls" does for files.
func peersTable(locks []redislock.Status, now time.Time) []byte {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) } // a Buffer takes all
	row("PID", "HOST", "STATE", "SINCE", "MODE", "FENCE", "NAME")
	for _, l := range locks {
		name := shown(l.Name)
		for _, p := range l.Owners {
			row(strconv.Itoa(p.PID), shown(p.Host), "holds", age(p, now), modeOf(p), strconv.FormatInt(p.Fence, 10), name)
		}
		for _, p := range l.Waiters {
			row(strconv.Itoa(p.PID), shown(p.Host), "waits", age(p, now), modeOf(p), "-", name)
		}
		if more := l.Waiting - len(l.Waiters); more > 0 {
			row(fmt.Sprintf("(%d more)", more), "-", "waits", "-", "-", "-", name)
		}
	}
	_ = table.Flush() // into the Buffer
	return out.Bytes()
}

func modeOf(p redislock.Peer) string {
	if p.Permits > 0 {
		return fmt.Sprintf("1 of %d", p.Permits)
	}
	return shown(p.Mode)
}

// age is how long something has lasted, by the server's clock and this one's.
func age(p redislock.Peer, now time.Time) string { return ago(max(now.Sub(p.Since), 0)) }

// writeJSON writes a value in the way of all commands.
func writeJSON(std streams, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return &exit{status: statusOS, err: err}
	}
	return write(std, append(escaped(content), '\n'))
}

// escaped writes what would speak to the terminal as JSON can, which package json does
// for a part of it only. Outside of strings there is nothing of the kind.
func escaped(content []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(content) {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.Bytes()
}

func write(std streams, content []byte) error {
	if _, err := std.out.Write(content); err != nil {
		return &exit{status: statusOS, err: err}
	}
	return nil
}

// plain takes from a text what would break a line or speak to the terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// completeServer completes --redis by the schemes.
func completeServer(cmd *cobra.Command) {
	complete := func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return []cobra.Completion{
			cobra.CompletionWithDesc("redis://", "HOST:PORT/DB"),
			cobra.CompletionWithDesc("rediss://", "HOST:PORT/DB, with TLS"),
			cobra.CompletionWithDesc("unix:///", "PATH of a socket"),
			cobra.CompletionWithDesc("redis+sentinel://", "HOST,HOST/MASTER/DB"),
			cobra.CompletionWithDesc("redis+cluster://", "HOST,HOST"),
			cobra.CompletionWithDesc("@", "FILE that has the URL"),
		}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	_ = cmd.RegisterFlagCompletionFunc("redis", complete) // fails for a flag that is not defined
}

var redisLong = strings.TrimSpace(`
Look at the locks that 'portalocker run --redis' and programs with the Go package
redislock have on a Redis server, and at the server.

The URL of the server, as all commands take it:
  redis://[USER:PASSWORD@]HOST[:PORT][/DB]      rediss:// with TLS
  unix://[USER:PASSWORD@]/PATH[?db=DB]          a socket
  redis+sentinel://HOST,HOST.../MASTER[/DB]     those who know the master
  redis+cluster://HOST,HOST...                  some of a cluster's servers
  @FILE                                         one of these, in a file
After a ? stand parameters, joined by &:
  db=DB                 the database
  ca_file=FILE          TLS: who has signed the server's certificate (default: those
                        that the system trusts)
  cert_file=FILE        TLS: a certificate of one's own, with key_file=FILE
  server_name=NAME      TLS: the name in the server's certificate, if not HOST
  skip_verify=true      TLS: take any certificate; who is between can then read all
  sentinel_username=USER, sentinel_password=PASSWORD
                        for the sentinels, who do not get those of the server
Of a name or a password, %2F is a /, %3F a ?, %23 a #, %40 a @ and %25 a %.

A password is best not in the URL on the command line: other users see it in a list
of processes. On Linux it is overwritten there, but only a moment after the start; on
other systems it stays. Where none may see it, PORTALOCKER_REDIS_PASSWORD (and
PORTALOCKER_REDIS_USERNAME) in the environment complete a URL without one, and @FILE
hides all of it. The environment is passed on to COMMAND as it is, so that portalocker
works in it, too; what is in FILE is not. No message ever has a password.

PORTALOCKER_REDIS_URL in the environment, which can be @FILE too, is the server where
--redis is not given. It is for these commands; 'run' locks files without --redis.`)

var redisExample = strings.Trim(`
  portalocker redis ls --redis redis://db1                 all who hold locks, or wait
  portalocker redis status --redis redis://db1 nightly     one lock
  portalocker redis check --redis redis://db1              is the server fit for locks?
  PORTALOCKER_REDIS_URL=@/etc/locks.url portalocker redis ls`, "\n")
