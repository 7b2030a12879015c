package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// serverURL says where a Redis server is, and how to get in.
type serverURL struct {
	scheme             string   // one of schemes
	hosts              []string // host:port each; nil for a socket
	socket             string
	master             string // what the sentinels call it
	db                 int
	username, password string

	// Parameters.
	skipVerify                         bool
	caFile, certFile, keyFile          string
	serverName                         string
	sentinelUsername, sentinelPassword string
}

// schemes are those of URLs, with the port of a host that has none.
var schemes = map[string]string{
	"redis": "6379", "rediss": "6379", "unix": "",
	"redis+sentinel": "26379", "rediss+sentinel": "26379",
	"redis+cluster": "6379", "rediss+cluster": "6379",
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

const schemeNames = "redis, rediss (TLS), unix, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster"

// parseServerURL reads a URL. Package net/url does not take lists of hosts, and has
// the whole URL in its errors; those of this function never repeat a part that may
// be, or have in it, a password.
func parseServerURL(s string) (*serverURL, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "" || strings.Trim(scheme, letters+digits+"+.-") != "" { // RFC 3986, 3.1
		return nil, errors.New("it is no URL: it begins with " + schemeNames + " and ://")
	}
	u := &serverURL{scheme: strings.ToLower(scheme)}
	if _, known := schemes[u.scheme]; !known {
		return nil, fmt.Errorf("the scheme %s is unknown: use %s", scheme, schemeNames)
	}
	authority, path, query := rest, "", ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	path, query, _ = strings.Cut(path, "?")
	if strings.Contains(path+query, "#") {
		return nil, errors.New("it has a #: write %23 if that belongs to a password")
	}
	err := u.parse(authority, path, query)
	if err != nil && !strings.Contains(authority, "@") && strings.Contains(path+query, "@") {
		// What was read as hosts and so on is a part of a password.
		return nil, errors.New("a password, and a name, is written with %2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %")
	}
	return u, err
}

func (u *serverURL) parse(authority, path, query string) error {
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		var err1, err2 error
		u.username, err1 = url.PathUnescape(user)
		u.password, err2 = url.PathUnescape(password)
		if err1 != nil || err2 != nil {
			return errors.New("the user or the password has a % that is not followed by two hexadecimal digits: write %25")
		}
		authority = authority[i+1:]
	}
	if err := u.parseHosts(authority); err != nil {
		return err
	}
	if err := u.parsePath(path); err != nil {
		return err
	}
	return u.parseQuery(query)
}

func (u *serverURL) parseHosts(list string) error {
	if u.scheme == "unix" {
		if list != "" {
			return errors.New("a socket has no host: write unix:///PATH, with three slashes")
		}
		return nil
	}
	if u.single() && strings.Contains(list, ",") {
		return errors.New("there are several hosts: that is for +sentinel and +cluster")
	}
	for host := range strings.SplitSeq(list, ",") {
		port := schemes[u.scheme]
		name := host
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			name, port = host[:i], host[i+1:]
		}
		if n, err := strconv.Atoi(port); err != nil || strings.Trim(port, digits) != "" || n < 1 || n > 65535 {
			return errors.New("a port is a number from 1 to 65535")
		}
		switch inner, ok := strings.CutPrefix(name, "["); {
		case ok:
			inner, ok = strings.CutSuffix(inner, "]")
			if name = inner; !ok || !strings.Contains(name, ":") || strings.ContainsAny(name, "[] /") {
				return errors.New("in [] stands an address of IPv6")
			}
		case name == "" && u.single():
			name = "localhost"
		case name == "":
			return errors.New("a host is empty")
		case strings.ContainsAny(name, ":"):
			return errors.New("an address of IPv6 stands in []")
		case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || strings.ContainsRune("%\\[]\"<>^`{|}\x7f", r) }):
			return errors.New("a host has characters that no host can have")
		}
		u.hosts = append(u.hosts, net.JoinHostPort(name, port))
	}
	return nil
}

func (u *serverURL) parsePath(path string) error {
	if u.scheme == "unix" {
		var err error
		if u.socket, err = url.PathUnescape(path); err != nil || strings.Trim(u.socket, "/") == "" {
			return errors.New("the path of the socket is missing or malformed: write unix:///PATH")
		}
		return nil
	}
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if u.sentinel() {
		master, db, _ := strings.Cut(path, "/")
		var err error
		if u.master, err = url.PathUnescape(master); err != nil || master == "" {
			return errors.New("after the sentinels stands the name of the master: redis+sentinel://HOST,HOST/MASTER")
		}
		path = db
	}
	if path == "" {
		return nil
	}
	return u.setDB(path)
}

func (u *serverURL) setDB(s string) error {
	n, err := strconv.ParseUint(s, 10, 31)
	switch {
	case err != nil:
		return errors.New("a database is a number from 0")
	case n != 0 && u.cluster():
		return errors.New("a cluster has only the database 0")
	}
	u.db = int(n)
	return nil
}

func (u *serverURL) parseQuery(query string) error {
	if query == "" {
		return nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(raw)
		if err != nil {
			return errors.New("a parameter has a % that is not followed by two hexadecimal digits: write %25")
		}
		if err := u.set(name, value); err != nil {
			return err
		}
	}
	switch {
	case (u.certFile == "") != (u.keyFile == ""):
		return errors.New("cert_file and key_file go together")
	case u.sentinelUsername != "" && u.sentinelPassword == "":
		return errors.New("sentinel_username goes with sentinel_password")
	}
	return nil
}

func (u *serverURL) set(name, value string) error {
	forTLS := map[string]*string{"ca_file": &u.caFile, "cert_file": &u.certFile, "key_file": &u.keyFile, "server_name": &u.serverName}
	forSentinel := map[string]*string{"sentinel_username": &u.sentinelUsername, "sentinel_password": &u.sentinelPassword}
	field := forTLS[name]
	if field == nil {
		field = forSentinel[name]
	}
	switch {
	case (forTLS[name] != nil || name == "skip_verify") && !u.tls():
		return fmt.Errorf("%s is for TLS: the scheme is rediss then", name)
	case forSentinel[name] != nil && !u.sentinel():
		return fmt.Errorf("%s is for redis+sentinel", name)
	case name == "db":
		return u.setDB(value)
	case name == "skip_verify":
		skip, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("skip_verify is true or false")
		}
		u.skipVerify = skip
	case field != nil && value == "":
		return fmt.Errorf("%s is empty", name)
	case field != nil:
		*field = value
	case name != "" && strings.Trim(name, letters+"_") == "":
		return fmt.Errorf("the parameter %s is unknown: use db; with TLS skip_verify, ca_file, cert_file, key_file, server_name; with +sentinel sentinel_username, sentinel_password", name)
	default:
		return errors.New("a parameter is malformed: write ?NAME=VALUE&NAME=VALUE")
	}
	return nil
}

// complete takes from the environment what the URL does not have.
func (u *serverURL) complete(getenv func(string) string) error {
	if u.password == "" {
		u.password = getenv(passwordVariable)
		if u.username == "" {
			u.username = getenv(usernameVariable)
		}
	}
	if u.username != "" && u.password == "" {
		return fmt.Errorf("there is a user without a password: %s in the environment can give it", passwordVariable)
	}
	return nil
}

// client makes a client; it does not talk to the server yet.
func (u *serverURL) client() (redis.UniversalClient, error) {
	var config *tls.Config
	if u.tls() {
		var err error
		if config, err = u.tlsConfig(); err != nil {
			return nil, err
		}
	}
	switch {
	case u.sentinel():
		return redis.NewFailoverClient(&redis.FailoverOptions{
			SentinelAddrs: u.hosts, MasterName: u.master, DB: u.db, TLSConfig: config, Username: u.username, Password: u.password,
			SentinelUsername: u.sentinelUsername, SentinelPassword: u.sentinelPassword, MaxRetries: -1,
		}), nil
	case u.cluster():
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: u.hosts, TLSConfig: config, Username: u.username, Password: u.password, MaxRetries: -1,
		}), nil
	}
	o := &redis.Options{Network: "tcp", DB: u.db, TLSConfig: config, Username: u.username, Password: u.password, MaxRetries: -1}
	if u.socket != "" {
		o.Network, o.Addr = "unix", u.socket
	} else {
		o.Addr = u.hosts[0]
	}
	return redis.NewClient(o), nil
}

// tlsConfig leaves the server's name open, if the URL does not give one: it is then
// that of each host, of which a cluster may have many (tls.Dialer).
func (u *serverURL) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: u.skipVerify, ServerName: u.serverName}
	if u.caFile != "" {
		text, err := os.ReadFile(u.caFile)
		if err != nil {
			return nil, &exit{status: statusNoInput, err: err}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, usageError("ca_file: %s has no certificate in PEM", shown(u.caFile))
		}
	}
	if u.certFile != "" {
		for _, path := range []string{u.certFile, u.keyFile} {
			if _, err := os.Stat(path); err != nil {
				return nil, &exit{status: statusNoInput, err: err}
			}
		}
		pair, err := tls.LoadX509KeyPair(u.certFile, u.keyFile)
		if err != nil {
			return nil, usageError("cert_file and key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// String is the URL without user, password and parameters.
func (u *serverURL) String() string {
	s := u.scheme + "://" + u.socket + strings.Join(u.hosts, ",")
	if u.master != "" {
		s += "/" + u.master
	}
	return shown(s)
}

func (u *serverURL) tls() bool      { return strings.HasPrefix(u.scheme, "rediss") }
func (u *serverURL) sentinel() bool { return strings.HasSuffix(u.scheme, "+sentinel") }
func (u *serverURL) cluster() bool  { return strings.HasSuffix(u.scheme, "+cluster") }
func (u *serverURL) single() bool   { return !u.sentinel() && !u.cluster() }

// secretsOf finds what in a URL is a password, or may be, as the URL may not be in
// order: the [begin, end) of each.
func secretsOf(s string) (spans [][2]int) {
	i := strings.Index(s, "://")
	if i < 0 {
		i = 0
	} else {
		i += len("://")
	}
	if at := strings.LastIndexByte(s, '@'); at > i {
		if colon := strings.IndexByte(s[i:at], ':'); colon >= 0 {
			spans = append(spans, [2]int{i + colon + 1, at})
		}
	}
	// A parameter such as sentinel_password.
	const parameter = "password="
	for at := strings.Index(s, parameter); at >= 0; {
		begin := at + len(parameter)
		end := begin + strings.IndexAny(s[begin:]+"&", "&#")
		spans = append(spans, [2]int{begin, end})
		next := strings.Index(s[end:], parameter)
		if at = next; next >= 0 {
			at += end
		}
	}
	return slices.DeleteFunc(spans, func(span [2]int) bool { return span[0] >= span[1] })
}
