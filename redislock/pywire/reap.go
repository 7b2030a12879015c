package pywire

import (
	"context"
	"strconv"
	"strings"
)

// client is a connection in the answer to CLIENT LIST.
type client struct {
	id   int64
	name string
	addr string
	subs int // channels that it is subscribed to
}

// reap cuts off the participants that have not answered a probe: one that is stopped,
// or whose link is dead, would keep everybody out for ever. They are known by the names
// of their connections. If there was an answer that does not say whose it is, it may
// be anybody's, and nobody is cut off: the lock is not to be had anyway.
//
// Whoever has connected after the probe began could not answer it and is spared: the
// server numbers connections in order, and the mailbox's own is from that time.
func (p *participant) reap(ctx context.Context, box *mailbox) error {
	list, err := p.link.ClientList(ctx).Result()
	if err != nil {
		return err
	}
	clients := parseClients(list)
	var began int64
	for _, c := range clients {
		if c.name == box.name {
			began = c.id
		}
	}
	for _, c := range clients {
		// The mailbox is asked only now: an answer that came late is an answer.
		if c.id >= began || c.subs == 0 || !p.silent(c.name, box) {
			continue
		}
		p.logger.Warn("pywire: cuts off a participant that does not answer",
			"channel", p.channel, "name", c.name, "address", c.addr, "after", p.limit)
		if err := p.link.ClientKillByFilter(ctx, "ID", strconv.FormatInt(c.id, 10)).Err(); err != nil {
			return err
		}
	}
	return nil
}

// silent says whether a connection of this name is that of a participant which has
// not answered.
func (p *participant) silent(name string, box *mailbox) bool {
	rest, ok := strings.CutPrefix(name, p.channel+"-lock")
	if !ok || box.hasLegacy() {
		return false
	}
	id, ok := strings.CutPrefix(rest, "-")
	return rest == "" || ok && isID(id) && id != p.id && !box.has(id)
}

// isID says whether a text is what newID gives, and Python's uuid4().hex.
func isID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// parseClients reads the answer to CLIENT LIST: a line for each client, of fields
// name=value with spaces between them (redis.io, CLIENT LIST). A name has no spaces.
func parseClients(list string) []client {
	var clients []client
	for line := range strings.Lines(list) {
		var c client
		for field := range strings.FieldsSeq(line) {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "id":
				c.id, _ = strconv.ParseInt(value, 10, 64)
			case "name":
				c.name = value
			case "addr":
				c.addr = value
			case "sub":
				c.subs, _ = strconv.Atoi(value)
			}
		}
		if c.id > 0 {
			clients = append(clients, c)
		}
	}
	return clients
}
