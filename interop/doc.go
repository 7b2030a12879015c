// Package interop holds the tests of this library against real Python portalocker.
// It has no code of its own.
//
// Each file in requirements/ names a release of Python portalocker and a redis-py
// that it supports. The script venvs makes a virtual environment for each of them, and
// the environment variable PORTALOCKER_TEST_PYTHON tells the tests where those are:
//
//	interop/venvs /tmp/venvs
//	PORTALOCKER_TEST_PYTHON=/tmp/venvs go test ./interop
//
// Without it the tests skip, or fail where PORTALOCKER_TEST_REQUIRE names python.
//
// What the tests find is a table, of a row for each kind of lock and role, and a
// column for each release. PORTALOCKER_TEST_TABLE=FILE writes it to FILE, in
// Markdown; where FILE has the lines that mark a table's place, as docs/python.md
// does, into that place:
//
//	PORTALOCKER_TEST_PYTHON=/tmp/venvs PORTALOCKER_TEST_TABLE=$PWD/docs/python.md go test ./interop
package interop
