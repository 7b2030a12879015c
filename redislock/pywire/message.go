package pywire

import (
	"encoding/json"
	"fmt"
)

// mode is what a participant says that it is, in the words of the protocol.
type mode string

const (
	exclusive mode = "exclusive" // has the lock alone
	pending   mode = "pending"   // wants it alone
	shared    mode = "shared"    // reads, or is about to
)

// protocol is the only version of the replies that there is.
const protocol = 1

// election is what a participant says of having been elected: Python portalocker
// before 4.2 does not say.
type election uint8

const (
	untold election = iota
	notElected
	isElected
)

// reply is what a participant answers to a ping.
type reply struct {
	id      string // "" if legacy
	mode    mode
	elected election
	legacy  bool // it could not be understood, so that it counts as a holder of its own kind
}

// pingText is a ping, which is to be answered on the response channel.
func pingText(response string) string {
	return text(struct {
		Message  string `json:"message"`
		Response string `json:"response_channel"`
	}{"ping", response})
}

// parsePing gives the response channel of a ping; it is false for everything else
// that somebody may publish on the channel.
func parsePing(payload string) (response string, ok bool) {
	response = stringIn(objectOf(payload), "response_channel")
	return response, response != ""
}

// replyText is the answer to a ping.
func replyText(id string, m mode, elected bool) string {
	return text(struct {
		ID       string `json:"holder_id"`
		Mode     mode   `json:"mode"`
		Protocol int    `json:"protocol"`
		Elected  bool   `json:"elected"`
	}{id, m, protocol, elected})
}

// parseReply reads an answer. Whatever it does not understand it takes for a holder
// that has the lock alone: that is what a Python portalocker before 4.0 is, which
// answers with the time of day, and what a later one than is known here may be.
func parseReply(payload string) reply {
	o := objectOf(payload)
	r := reply{id: stringIn(o, "holder_id"), mode: mode(stringIn(o, "mode"))}
	known := r.mode == exclusive || r.mode == pending || r.mode == shared
	if r.id == "" || !known || string(o["protocol"]) != fmt.Sprint(protocol) {
		return reply{mode: exclusive, legacy: true}
	}
	switch string(o["elected"]) {
	case "true":
		r.elected = isElected
	case "false":
		r.elected = notElected
	}
	return r
}

// objectOf reads a JSON object; it is nil for everything else. A map, and not a
// struct, since names must match exactly, as they do in Python.
func objectOf(payload string) map[string]json.RawMessage {
	var o map[string]json.RawMessage
	if json.Unmarshal([]byte(payload), &o) != nil {
		return nil
	}
	return o
}

// stringIn is the string of that name, "" where there is none.
func stringIn(o map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(o[name], &s) != nil {
		return ""
	}
	return s
}

func text(record any) string {
	b, err := json.Marshal(record)
	if err != nil { // strings, a number and a bool: there is none
		return ""
	}
	return string(b)
}
