package main

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestServerURL(t *testing.T) {
	for s, want := range map[string]serverURL{
		"redis://":                                  {scheme: "redis", hosts: []string{"localhost:6379"}},
		"redis://:7000":                             {scheme: "redis", hosts: []string{"localhost:7000"}},
		"redis://db1":                               {scheme: "redis", hosts: []string{"db1:6379"}},
		"REDIS://db1/":                              {scheme: "redis", hosts: []string{"db1:6379"}},
		"redis://db1/3":                             {scheme: "redis", hosts: []string{"db1:6379"}, db: 3},
		"redis://db1?db=3":                          {scheme: "redis", hosts: []string{"db1:6379"}, db: 3},
		"redis://[::1]":                             {scheme: "redis", hosts: []string{"[::1]:6379"}},
		"redis://[::1]:7000/1":                      {scheme: "redis", hosts: []string{"[::1]:7000"}, db: 1},
		"redis://:secret@db1":                       {scheme: "redis", hosts: []string{"db1:6379"}, password: "secret"},
		"redis://me:a:b@c@db1":                      {scheme: "redis", hosts: []string{"db1:6379"}, username: "me", password: "a:b@c"},
		"redis://me:%2F%3f%23%40+%25@db1":           {scheme: "redis", hosts: []string{"db1:6379"}, username: "me", password: "/?#@+%"},
		"redis://me@db1":                            {scheme: "redis", hosts: []string{"db1:6379"}, username: "me"},
		"rediss://db1:1?skip_verify=1":              {scheme: "rediss", hosts: []string{"db1:1"}, skipVerify: true},
		"rediss://db1?ca_file=/a%26b&server_name=x": {scheme: "rediss", hosts: []string{"db1:6379"}, caFile: "/a&b", serverName: "x"},
		"rediss://db1?cert_file=c&key_file=k":       {scheme: "rediss", hosts: []string{"db1:6379"}, certFile: "c", keyFile: "k"},
		"unix:///run/redis.sock":                    {scheme: "unix", socket: "/run/redis.sock"},
		"unix://:secret@/run/a%20b?db=2":            {scheme: "unix", socket: "/run/a b", password: "secret", db: 2},
		"redis+sentinel://a,b:1/main":               {scheme: "redis+sentinel", hosts: []string{"a:26379", "b:1"}, master: "main"},
		"rediss+sentinel://u:p@a/main/4":            {scheme: "rediss+sentinel", hosts: []string{"a:26379"}, master: "main", db: 4, username: "u", password: "p"},
		"redis+sentinel://a/m%20n?sentinel_username=s&sentinel_password=q@r": {scheme: "redis+sentinel", hosts: []string{"a:26379"},
			master: "m n", sentinelUsername: "s", sentinelPassword: "q@r"},
		"redis+cluster://a:1,[::1]:2,b": {scheme: "redis+cluster", hosts: []string{"a:1", "[::1]:2", "b:6379"}},
		"rediss+cluster://:p@a/0":       {scheme: "rediss+cluster", hosts: []string{"a:6379"}, password: "p"},
	} {
		got, err := parseServerURL(s)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\ngot  %+v (%v)\nwant %+v", s, got, err, want)
			continue
		}
		if client, err := got.client(); err == nil {
			_ = client.Close()
		} else if want.caFile == "" && want.certFile == "" { // those that are not there
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestServerURLMalformed(t *testing.T) {
	for s, reason := range map[string]string{
		"db1":                                      "it is no URL",
		"db1:6379":                                 "it is no URL",
		"://db1":                                   "it is no URL",
		"re dis://db1":                             "it is no URL",
		"http://db1":                               "the scheme http is unknown",
		"redis+tls://db1":                          "the scheme redis+tls is unknown",
		"redis://db1:0":                            "a port",
		"redis://db1:65536":                        "a port",
		"redis://db1:+1":                           "a port",
		"redis://db1:":                             "a port",
		"redis://db1:port":                         "a port",
		"redis://a,b":                              "several hosts",
		"redis://::1":                              "stands in []",
		"redis://[::1":                             "in [] stands",
		"redis://[db1]":                            "in [] stands",
		"redis://a b":                              "a host has characters",
		"redis://a%20b":                            "a host has characters",
		"redis://db1/one":                          "a database",
		"redis://db1/-1":                           "a database",
		"redis://db1/1/2":                          "a database",
		"redis://db1?db=x":                         "a database",
		"redis://db1#x":                            "it has a #",
		"redis://db1?timeout=3":                    "the parameter timeout is unknown",
		"redis://db1?x-y=3":                        "a parameter is malformed",
		"redis://db1?db=%zz":                       "a parameter has a %",
		"redis://db1?skip_verify=1":                "skip_verify is for TLS",
		"redis://db1?ca_file=x":                    "ca_file is for TLS",
		"rediss://db1?skip_verify=maybe":           "skip_verify is true or false",
		"rediss://db1?ca_file=":                    "ca_file is empty",
		"rediss://db1?cert_file=x":                 "go together",
		"redis://db1?sentinel_password=":           "sentinel_password is for",
		"redis://%zz:p@db1":                        "has a %",
		"redis://:p%@db1":                          "has a %",
		"redis://:pa/ss@db1":                       "%2F for /",
		"redis://:12/ss@db1":                       "%2F for /",
		"redis://:pa?ss@db1":                       "%2F for /",
		"redis://:pa?ss=1@db1":                     "%2F for /",
		"redis://:pa#ss@db1":                       "write %23",
		"unix://run/redis.sock":                    "three slashes",
		"unix:///":                                 "the path of the socket",
		"unix://":                                  "the path of the socket",
		"unix:///a%zz":                             "the path of the socket",
		"redis+sentinel://a":                       "the name of the master",
		"redis+sentinel://a/":                      "the name of the master",
		"redis+sentinel://a,/main":                 "a host is empty",
		"redis+sentinel:///main":                   "a host is empty",
		"redis+sentinel://a/main/x":                "a database",
		"redis+sentinel://a/m?sentinel_username=x": "goes with sentinel_password",
		"redis+cluster://":                         "a host is empty",
		"redis+cluster://a/1":                      "only the database 0",
		"redis+cluster://a?db=1":                   "only the database 0",
	} {
		if u, err := parseServerURL(s); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %+v, error %v, want %q", s, u, err, reason)
		}
	}
}

func TestServerURLTakesWhatItLacksFromTheEnvironment(t *testing.T) {
	for _, c := range []struct{ url, envUser, envPassword, user, password string }{
		{"redis://db1", "", "", "", ""},
		{"redis://db1", "", "p", "", "p"},
		{"redis://db1", "u", "p", "u", "p"},
		{"redis://me@db1", "u", "p", "me", "p"},
		{"redis://me:mine@db1", "u", "p", "me", "mine"},
		{"redis://:mine@db1", "u", "p", "", "mine"},
	} {
		u, err := parseServerURL(c.url)
		if err != nil {
			t.Fatal(err)
		}
		environment := map[string]string{usernameVariable: c.envUser, passwordVariable: c.envPassword}
		err = u.complete(func(name string) string { return environment[name] })
		if err != nil || u.username != c.user || u.password != c.password {
			t.Errorf("%+v: %q, %q (%v)", c, u.username, u.password, err)
		}
	}
	u, err := parseServerURL("redis://me@db1")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.complete(func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), passwordVariable) {
		t.Errorf("a user without a password: %v", err)
	}
}

// A URL that is in order or damaged in any way: what went into it as a password is in
// no error, and is found by secretsOf.
func TestServerURLNeverShowsThePassword(t *testing.T) {
	const secret = "hunter2"
	seeds := []string{
		"redis://:hunter2@db1", "redis://me:hunter2@db1:6379/3", "rediss://me:hunter2@[::1]:1?skip_verify=1",
		"unix://:hunter2@/run/redis.sock?db=2", "redis+sentinel://me:hunter2@a,b:1/main/4",
		"redis+sentinel://a/main?sentinel_username=s&sentinel_password=hunter2", "rediss+cluster://:hunter2@a:1,b",
	}
	const noise = "/?#%@:&=,[] \x00\n+-0a"
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		before, after, _ := strings.Cut(seeds[random.IntN(len(seeds))], secret)
		// Damage is what follows the password, or stands in it.
		password := secret
		for range random.IntN(3) {
			at := random.IntN(2) * len(password)
			password = password[:at] + string(noise[random.IntN(len(noise))]) + password[at:]
		}
		for range random.IntN(3) {
			at := random.IntN(len(after) + 1)
			after = after[:at] + string(noise[random.IntN(len(noise))]) + after[at:]
		}
		if random.IntN(4) == 0 {
			after = strings.TrimPrefix(after, "@") // forgotten
		}
		s := before + password + after
		u, err := parseServerURL(s)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("%q: %v", s, err)
		}
		if err == nil && strings.Contains(u.password+u.sentinelPassword, secret) && strings.Contains(u.String(), secret) {
			t.Fatalf("%q is shown as %s", s, u)
		}
		hidden := []byte(s)
		for _, span := range secretsOf(s) {
			for i := span[0]; i < span[1]; i++ {
				hidden[i] = '*'
			}
		}
		if err == nil && strings.Contains(u.password+u.sentinelPassword, secret) && strings.Contains(string(hidden), secret) {
			t.Fatalf("%q: left after hiding: %q", s, hidden)
		}
	}
}

func TestServerURLClients(t *testing.T) {
	for s, want := range map[string]string{
		"redis://u:p@db1/3":     "tcp db1:6379 u p 3 tls=false",
		"rediss://db1":          "tcp db1:6379   0 tls=true",
		"unix://:p@/run/s?db=1": "unix /run/s  p 1 tls=false",
	} {
		u, err := parseServerURL(s)
		if err != nil {
			t.Fatal(err)
		}
		client, err := u.client()
		if err != nil {
			t.Fatal(err)
		}
		o := client.(*redis.Client).Options()
		got := fmt.Sprintf("%s %s %s %s %d tls=%v", o.Network, o.Addr, o.Username, o.Password, o.DB, o.TLSConfig != nil)
		if got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
		_ = client.Close()
	}
}
