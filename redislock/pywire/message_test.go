package pywire

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParsePing(t *testing.T) {
	for payload, want := range map[string]string{
		`{"message": "ping", "response_channel": "x-1"}`:      "x-1",
		`{"response_channel": "x-1"}`:                         "x-1",
		` {"response_channel":"x-1","more":[1,{"a":null}]} `:  "x-1",
		`{"response_channel":"first","response_channel":"x"}`: "x", // Python's json takes the last
		`{"response_channel":"\u0078"}`:                       "x",
		`{"Response_Channel":"x"}`:                            "", // names match exactly
		`{"response_channel":""}`:                             "",
		`{"response_channel":null}`:                           "",
		`{"response_channel":5}`:                              "",
		`{"response_channel":["x"]}`:                          "",
		`{"response_channel":"x"} {"response_channel":"x"}`:   "",
		`{"message":"ping"}`:                                  "",
		`[{"response_channel":"x"}]`:                          "",
		`"response_channel"`:                                  "",
		`null`:                                                "",
		`1719400000.123`:                                      "",
		``:                                                    "",
		`{"response_channel":"x"`:                             "",
		strings.Repeat(`{"a":`, 20000) + strings.Repeat(`}`, 20000): "",
	} {
		got, ok := parsePing(payload)
		if got != want || ok != (want != "") {
			t.Errorf("%.80s: %q, %v", payload, got, ok)
		}
	}
}

func TestParseReply(t *testing.T) {
	legacy := reply{mode: exclusive, legacy: true}
	for payload, want := range map[string]reply{
		`{"holder_id": "ab", "mode": "exclusive", "protocol": 1}`:                   {id: "ab", mode: exclusive},
		`{"holder_id": "ab", "mode": "pending", "protocol": 1, "elected": true}`:    {id: "ab", mode: pending, elected: isElected},
		`{"holder_id": "ab", "mode": "shared", "protocol": 1, "elected": false}`:    {id: "ab", mode: shared, elected: notElected},
		`{"holder_id": "ab", "mode": "pending", "protocol": 1, "elected": "true"}`:  {id: "ab", mode: pending},
		`{"holder_id": "ab", "mode": "pending", "protocol": 1, "elected": null}`:    {id: "ab", mode: pending},
		`{"holder_id": "ab", "mode": "pending", "protocol": 1, "elected": 1}`:       {id: "ab", mode: pending},
		`{"holder_id": "ab", "mode": "pending", "protocol": 1, "more": {"x": [1]}}`: {id: "ab", mode: pending},

		`1719400000.123`: legacy,
		``:               legacy,
		`pong`:           legacy,
		`null`:           legacy,
		`true`:           legacy,
		`[]`:             legacy,
		`{}`:             legacy,
		"\xff\xfe":       legacy,
		`{"holder_id": "", "mode": "shared", "protocol": 1}`:        legacy,
		`{"holder_id": 7, "mode": "shared", "protocol": 1}`:         legacy,
		`{"mode": "shared", "protocol": 1}`:                         legacy,
		`{"holder_id": "ab", "protocol": 1}`:                        legacy,
		`{"holder_id": "ab", "mode": "SHARED", "protocol": 1}`:      legacy,
		`{"holder_id": "ab", "mode": "upgradable", "protocol": 1}`:  legacy,
		`{"holder_id": "ab", "mode": ["shared"], "protocol": 1}`:    legacy,
		`{"holder_id": "ab", "mode": "shared", "protocol": 2}`:      legacy,
		`{"holder_id": "ab", "mode": "shared", "protocol": "1"}`:    legacy,
		`{"holder_id": "ab", "mode": "shared", "protocol": true}`:   legacy,
		`{"holder_id": "ab", "mode": "shared", "protocol": 10}`:     legacy,
		`{"holder_id": "ab", "mode": "shared"}`:                     legacy,
		`{"holder_id": "ab", "MODE": "shared", "protocol": 1}`:      legacy,
		`{"holder_id": "ab", "mode": "shared", "protocol": 1} more`: legacy,
		`{"holder_id": "ab", "mode": "shared", "protocol": 1`:       legacy,
	} {
		if got := parseReply(payload); got != want {
			t.Errorf("%s: %+v, not %+v", payload, got, want)
		}
	}
}

// FuzzMessage: nothing that is published on a channel crashes the parser; what is no
// reply of protocol 1 is an exclusive holder; and what is said here is understood here.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		pingText("x-1"), replyText("0123456789abcdef0123456789abcdef", pending, true), `1719400000.123`, ``, `null`, `{}`, `[]`,
		`{"holder_id":"a","mode":"shared","protocol":1.0}`, `{"response_channel":"\ud800"}`, `{"protocol":1e0}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		r := parseReply(payload)
		if r.legacy && (r.mode != exclusive || r.id != "") {
			t.Errorf("%q is no reply, and not an exclusive holder: %+v", payload, r)
		}
		if !r.legacy {
			if !json.Valid([]byte(payload)) || r.id == "" || r.mode != exclusive && r.mode != pending && r.mode != shared {
				t.Errorf("%q is taken for the reply %+v", payload, r)
			}
			if again := parseReply(replyText(r.id, r.mode, r.elected == isElected)); again.id != r.id || again.mode != r.mode {
				t.Errorf("%+v becomes %+v", r, again)
			}
		}
		response, ok := parsePing(payload)
		if ok != (response != "") || ok && !json.Valid([]byte(payload)) {
			t.Errorf("%q is a ping to %q: %v", payload, response, ok)
		}
		if again, ok := parsePing(pingText(payload)); ok != (payload != "") || ok && again != strings.ToValidUTF8(payload, "\ufffd") && !strings.Contains(again, "\ufffd") {
			t.Errorf("a ping to %q comes out as one to %q", payload, again)
		}
	})
}
