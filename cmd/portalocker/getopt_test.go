package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestGetopt(t *testing.T) {
	long := []longOption{
		{"shared", false, 's'},
		{"nonblocking", false, 'n'},
		{"nb", false, 'n'},
		{"no-fork", false, 'F'},
		{"wait", true, 'w'},
		{"verbose", false, 'v'},
		{"version", false, 'V'},
	}
	for _, c := range []struct{ line, want string }{
		{"", "|"},
		{"file true", "|file true"},
		{"-s file -n", "s|file -n"}, // what is behind the first operand is not looked at
		{"-sn file", "s n|file"},
		{"-snw5 file", "s n w(5)|file"},
		{"-w 5 file", "w(5)|file"},
		{"-w -n file", "w(-n)|file"}, // an argument may be anything
		{"-w -- file", "w(--)|file"},
		{"-w5 -w6", "w(5) w(6)|"},
		{"-", "|-"},
		{"-s - -n", "s|- -n"},
		{"-s -- -n", "s|-n"},
		{"-- --", "|--"},
		{"--shared --wait 5 file", "s w(5)|file"},
		{"--wait=5", "w(5)|"},
		{"--wait=", "w()|"},
		{"--wait=a=b", "w(a=b)|"},
		{"--sh", "s|"},
		{"--s", "s|"},
		{"--w=1", "w(1)|"},
		{"--nb", "n|"},
		{"--non", "n|"},
		{"--verb", "v|"},
		{"-z", "invalid option -- 'z'"},
		{"-sz", "invalid option -- 'z'"},
		{"-:", "invalid option -- ':'"},
		{"-\xc3\xa4", "invalid option -- '\xc3'"},
		{"-w", "option requires an argument -- 'w'"},
		{"-sw", "option requires an argument -- 'w'"},
		{"--wait", "option '--wait' requires an argument"},
		{"--wa", "option '--wait' requires an argument"},
		{"--shared=1", "option '--shared' doesn't allow an argument"},
		{"--shared=", "option '--shared' doesn't allow an argument"},
		{"--walk", "unrecognized option '--walk'"},
		{"--walk=5", "unrecognized option '--walk=5'"},
		{"--sharedx", "unrecognized option '--sharedx'"},
		{"---s", "unrecognized option '---s'"},
		{"--ver", "option '--ver' is ambiguous; possibilities: '--verbose' '--version'"},
		{"--n=3", "option '--n=3' is ambiguous; possibilities: '--nonblocking' '--no-fork'"}, // -nb is -nonblocking
	} {
		g := getopt{letters: "snFw:", long: long, args: strings.Fields(c.line)}
		var got []string
		for {
			letter, argument, err := g.next()
			if err != nil {
				got = []string{err.Error()}
				break
			}
			if letter == 0 {
				got = []string{strings.Join(got, " ") + "|" + strings.Join(g.args, " ")}
				break
			}
			if option := string(letter); letter == 'w' {
				got = append(got, fmt.Sprintf("%s(%s)", option, argument))
			} else {
				got = append(got, option)
			}
		}
		if got[0] != c.want {
			t.Errorf("%q: got %q, want %q", c.line, got[0], c.want)
		}
	}
}
