package redislock

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redisconn"
)

// Finding is something about a server that endangers locks on it.
type Finding struct {
	Server  string // its address
	Fatal   bool   // locks do not work, or can be lost at any time
	Subject string // what is wrong, such as "maxmemory-policy"
	Message string // what that means, and what to do
}

// String is one line.
func (f Finding) String() string {
	grade := "warning"
	if f.Fatal {
		grade = "error"
	}
	return fmt.Sprintf("%s: %s: %s: %s", f.Server, grade, f.Subject, f.Message)
}

// Check looks at what makes a server unfit for locks: a version that is too old, a
// replica, settings by which it may forget a held lock, rights that the user lacks.
// No findings are good news. The error is for a server that cannot be asked.
func (c *Client) Check(ctx context.Context) ([]Finding, error) {
	if c.err != nil {
		return nil, &portalocker.LockError{Op: "check", Path: "the server", Err: c.err}
	}
	var i inspection
	err := c.conn.Masters(ctx, func(ctx context.Context, node *redis.Client) error {
		if i.server = c.conn.Address(); c.conn.Cluster() {
			i.server = node.Options().Addr
		}
		return i.node(ctx, node, c.conn.Cluster())
	})
	if err == nil {
		i.server = c.conn.Address()
		err = i.rights(ctx, c.conn)
	}
	if err != nil {
		return nil, &portalocker.LockError{Op: "check", Path: c.conn.Address(), Err: c.conn.Explain(err)}
	}
	return i.found, nil
}

// inspection is a Check under way.
type inspection struct {
	server string // the one that it is at
	found  []Finding
}

// node looks at one server.
func (i *inspection) node(ctx context.Context, node *redis.Client, cluster bool) error {
	if err := node.Ping(ctx).Err(); err != nil {
		return err
	}
	text, err := node.Info(ctx).Result()
	switch {
	case redisconn.Final(err):
		i.warn("INFO", "cannot be read, so that version and settings are not checked: %v", err)
		return nil
	case err != nil:
		return err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[key] = value
		}
	}
	i.settings(info, cluster)
	return nil
}

// settings looks at what INFO says. Servers differ in what they tell.
func (i *inspection) settings(info map[string]string, cluster bool) {
	least, wanted := 602, "6.2"
	if cluster {
		least, wanted = 700, "7.0 in a cluster"
	}
	parts := strings.Split(info["redis_version"], ".")
	if len(parts) >= 2 {
		major, _ := strconv.Atoi(parts[0])
		minor, _ := strconv.Atoi(parts[1])
		if major*100+minor < least {
			i.fatal("version", "%s is too old: at least %s", info["redis_version"], wanted)
		}
	}
	if info["role"] == "slave" {
		i.fatal("role", "it is a replica, and locks need the master (%s:%s)", info["master_host"], info["master_port"])
	}
	policy, limited := info["maxmemory_policy"], info["maxmemory"] != "0"
	switch {
	case strings.HasPrefix(policy, "allkeys-") && limited:
		i.fatal("maxmemory-policy", "%s may evict the record of a held lock: set noeviction, or use a server of its own for locks", policy)
	case strings.HasPrefix(policy, "allkeys-"):
		i.warn("maxmemory-policy", "%s would evict the record of a held lock once maxmemory is set: set noeviction", policy)
	case strings.HasPrefix(policy, "volatile-") && limited:
		i.fatal("maxmemory-policy", "%s may evict the record of a held lock, since all of them expire one day: set noeviction, or use a server of its own for locks", policy)
	case strings.HasPrefix(policy, "volatile-"):
		i.warn("maxmemory-policy", "%s would evict the record of a held lock once maxmemory is set: set noeviction", policy)
	}
	if info["loading"] == "1" {
		i.fatal("loading", "it is still reading its data from disk: try again when it has done so")
	}
	if n, _ := strconv.Atoi(info["connected_slaves"]); n > 0 && info["min_slaves_good_slaves"] == "" {
		i.warn("min-replicas-to-write", "it has %d replicas and does not insist on them: after a failover the new master may not know of a lock; set min-replicas-to-write, and see WithReplicaAck", n)
	}
}

// rights runs what the scripts need, on a key of its own.
func (i *inspection) rights(ctx context.Context, conn *redisconn.Conn) error {
	numsub, publish := "NUMSUB", "PUBLISH"
	if conn.Cluster() {
		numsub, publish = "SHARDNUMSUB", "SPUBLISH"
	}
	key := []string{prefix + "{check}:check"}
	for _, right := range []struct {
		subject, script string
		args            []any
	}{
		{"scripts", `redis.call('SET', KEYS[1], '1', 'PX', 1000) return redis.call('DEL', KEYS[1])`, nil},
		{"PUBSUB " + numsub, `return redis.call('PUBSUB', ARGV[1], KEYS[1])`, []any{numsub}},
		{publish, `return redis.call(ARGV[1], KEYS[1], 'check')`, []any{publish}},
	} {
		err := conn.Eval(ctx, right.script, key, right.args...).Err()
		switch {
		case redisconn.Final(err):
			i.fatal(right.subject, "it is refused: %v", conn.Explain(err))
		case err != nil:
			return err
		}
	}
	sub, err := conn.Subscribe(ctx, "portalocker", key[0])
	switch {
	case redisconn.Final(err):
		i.fatal("SUBSCRIBE", "it is refused: %v", conn.Explain(err))
		return nil
	case err != nil:
		return err
	}
	return sub.Close()
}

func (i *inspection) fatal(subject, format string, args ...any) { i.add(true, subject, format, args) }
func (i *inspection) warn(subject, format string, args ...any)  { i.add(false, subject, format, args) }

func (i *inspection) add(fatal bool, subject, format string, args []any) {
	i.found = append(i.found, Finding{Server: i.server, Fatal: fatal, Subject: subject, Message: fmt.Sprintf(format, args...)})
}
