package portalocker

import "fmt"

// Mode is how a lock opens its file, in the words of C's fopen and Python's
// open: one of r, w, a and x, with an optional + and an optional b or t, in any
// order.
//
//	r   reads an existing file
//	r+  reads and writes an existing file
//	w   makes the file empty, once the lock is held, and writes from its start
//	a   appends (the default)
//	x   creates a file that must not be there
//
// w, a and x create the file where it is missing. The system checks only the
// access that the mode needs, but a file that this user may both read and write
// is opened for both, whatever the mode. b and t mean nothing: Go's files are
// byte files.
type Mode string

// access is a Mode, taken apart.
type access struct {
	read, write, create, excl, truncate, append bool
}

func (m Mode) parse() (access, error) {
	var a access
	verbs, plus, kinds := 0, 0, 0
	for _, c := range m {
		switch c {
		case 'r':
			a.read = true
		case 'w':
			a.write, a.create, a.truncate = true, true, true
		case 'a':
			a.write, a.create, a.append = true, true, true
		case 'x':
			a.write, a.create, a.excl = true, true, true
		case '+':
			plus++
			continue
		case 'b', 't':
			kinds++
			continue
		default:
			verbs = 2 // not a mode at all
		}
		verbs++
	}
	if verbs != 1 || plus > 1 || kinds > 1 {
		return access{}, fmt.Errorf("unknown mode %q: use one of r r+ w w+ a a+ x x+, with an optional b or t", string(m))
	}
	if plus == 1 {
		a.read, a.write = true, true
	}
	return a, nil
}
