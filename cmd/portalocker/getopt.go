package main

import (
	"fmt"
	"strings"
)

// getopt reads a command line as getopt_long(3) of the GNU C library does when its
// option string begins with "+": options end at the first argument that is none, or
// after "--". Letters can stand together, a long name can be shortened as long as
// it is clear which is meant, and an argument can be a word of its own or follow
// its option at once (-w5, --wait=5).
type getopt struct {
	letters string       // those that there are, each with a ":" behind it if it takes an argument
	long    []longOption // in the order in which messages name them
	args    []string     // what has not been read yet; in the end the operands
	cluster string       // what is left of a word of letters
}

// longOption is a long name for a letter, or for another rune where there is no
// letter.
type longOption struct {
	name     string
	argument bool
	letter   rune
}

// next gives the next option and its argument, or 0 after the last. The error is
// worded as the C library does.
func (g *getopt) next() (letter rune, argument string, err error) {
	if g.cluster != "" {
		return g.nextLetter()
	}
	if len(g.args) == 0 || g.args[0] == "-" || !strings.HasPrefix(g.args[0], "-") {
		return 0, "", nil
	}
	word := g.args[0]
	g.args = g.args[1:]
	if word == "--" {
		return 0, "", nil
	}
	if long, ok := strings.CutPrefix(word, "--"); ok {
		return g.nextLong(long)
	}
	g.cluster = word[1:]
	return g.nextLetter()
}

func (g *getopt) nextLetter() (letter rune, argument string, err error) {
	c := g.cluster[0]
	g.cluster = g.cluster[1:]
	at := strings.IndexByte(g.letters, c)
	if at < 0 || c == ':' {
		return 0, "", fmt.Errorf("invalid option -- '%s'", []byte{c})
	}
	if !strings.HasPrefix(g.letters[at+1:], ":") {
		return rune(c), "", nil
	}
	if argument, g.cluster = g.cluster, ""; argument != "" {
		return rune(c), argument, nil
	}
	if len(g.args) == 0 {
		return 0, "", fmt.Errorf("option requires an argument -- '%s'", []byte{c})
	}
	argument, g.args = g.args[0], g.args[1:]
	return rune(c), argument, nil
}

func (g *getopt) nextLong(word string) (letter rune, argument string, err error) {
	name, argument, given := strings.Cut(word, "=")
	option, err := g.find(name, word)
	switch {
	case err != nil:
		return 0, "", err
	case given && !option.argument:
		return 0, "", fmt.Errorf("option '--%s' doesn't allow an argument", option.name)
	case option.argument && !given && len(g.args) == 0:
		return 0, "", fmt.Errorf("option '--%s' requires an argument", option.name)
	case option.argument && !given:
		argument, g.args = g.args[0], g.args[1:]
	}
	return option.letter, argument, nil
}

// find gives the option that has the name, or the only one whose name begins with
// it. Names that mean the same count as one. The whole word is for messages.
func (g *getopt) find(name, word string) (*longOption, error) {
	var meant []*longOption
	for i := range g.long {
		option := &g.long[i]
		if option.name == name {
			return option, nil
		}
		if strings.HasPrefix(option.name, name) &&
			(len(meant) == 0 || option.letter != meant[0].letter || option.argument != meant[0].argument) {
			meant = append(meant, option)
		}
	}
	switch len(meant) {
	case 0:
		return nil, fmt.Errorf("unrecognized option '--%s'", word)
	case 1:
		return meant[0], nil
	}
	var names strings.Builder
	for _, option := range meant {
		fmt.Fprintf(&names, " '--%s'", option.name)
	}
	return nil, fmt.Errorf("option '--%s' is ambiguous; possibilities:%s", word, names.String())
}
