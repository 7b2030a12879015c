//go:build unix

package interop

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tableVariable names the file that the results are written to.
const tableVariable = "PORTALOCKER_TEST_TABLE"

// results are the tables of this run, in the order of the documentation. A test
// declares its rows in the order in which they are to be read, before it starts
// anything in parallel, and then runs each cell as a subtest.
var (
	fileResults = &table{name: "files", what: "Kind of lock"}
	results     = []*table{fileResults, redisResults}
)

// table is what one part of the tests found.
type table struct {
	name string // in the lines that mark its place in a document
	what string // the head of the first column

	mu   sync.Mutex // guards the cells; rows are declared one after the other
	rows []*row
}

// row is one kind of lock in one role.
type row struct {
	table      *table
	kind, role string
	cells      map[string]*cell // by version
}

// cell is one row of one version.
type cell struct{ word, why string }

// row declares the next row, or finds it if the tests run more than once.
func (t *table) row(kind, role string) *row {
	for _, r := range t.rows {
		if r.kind == kind && r.role == role {
			return r
		}
	}
	r := &row{table: t, kind: kind, role: role, cells: map[string]*cell{}}
	t.rows = append(t.rows, r)
	return r
}

// ok says in the table, once the test has passed, that all its checks hold.
func (r *row) ok(t *testing.T, version string) { r.set(t, version, "ok", "") }

// unsafe says that the test proves a defect of that version, and which.
func (r *row) unsafe(t *testing.T, version, why string) { r.set(t, version, "unsafe", why) }

// lacks says why there is nothing to test in that version. It ends no test.
func (r *row) lacks(t *testing.T, version, why string) { r.set(t, version, "n/a", why) }

func (r *row) set(t *testing.T, version, word, why string) {
	t.Cleanup(func() {
		r.table.mu.Lock()
		defer r.table.mu.Unlock()
		switch {
		case t.Failed():
			r.cells[version] = &cell{word: "FAILED"}
		case t.Skipped():
			r.cells[version] = &cell{word: "skipped"}
		case r.cells[version] == nil: // with -count, a failure stays
			r.cells[version] = &cell{word: word, why: why}
		}
	})
}

// markdown is the table and the notes that its cells refer to.
func (t *table) markdown(versions []string) string {
	var b, notes strings.Builder
	fmt.Fprintf(&b, "| %s | role | %s |\n", t.what, strings.Join(versions, " | "))
	fmt.Fprintf(&b, "| --- | --- |%s\n", strings.Repeat(" --- |", len(versions)))
	var whys []string
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | %s |", r.kind, r.role)
		for _, version := range versions {
			c := r.cells[version]
			if c == nil {
				c = &cell{word: "not run"}
			}
			b.WriteString(" " + c.word)
			if c.why != "" {
				n := slices.Index(whys, c.why)
				if n < 0 {
					n = len(whys)
					whys = append(whys, c.why)
					fmt.Fprintf(&notes, "%d. %s\n", n+1, c.why)
				}
				fmt.Fprintf(&b, " (%d)", n+1)
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	if notes.Len() > 0 {
		b.WriteString("\n" + notes.String())
	}
	return b.String()
}

// place puts text between the lines that mark the table's place in a document, or
// after the document where it has none.
func (t *table) place(document, text string) string {
	begin := fmt.Sprintf("<!-- table %s: made by go test ./interop -->\n", t.name)
	end := fmt.Sprintf("<!-- end of table %s -->\n", t.name)
	before, rest, ok := strings.Cut(document, begin)
	if !ok {
		return document + begin + text + end
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return document + begin + text + end
	}
	return before + begin + text + end + after
}

// writeTables writes what was found to the file that the environment names.
func writeTables() error {
	file := os.Getenv(tableVariable)
	if file == "" {
		return nil
	}
	versions, err := pinnedVersions()
	if err != nil {
		return err
	}
	document, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	text := string(document)
	for _, t := range results {
		if len(t.rows) > 0 {
			text = t.place(text, t.markdown(versions))
		}
	}
	return os.WriteFile(file, []byte(text), 0o666)
}

func TestTable(t *testing.T) {
	table := &table{name: "example", what: "Kind"}
	first, second := table.row("a", "Go"), table.row("b", "Python")
	t.Run("cells", func(t *testing.T) {
		first.ok(t, "1")
		first.lacks(t, "2", "None there.")
		second.unsafe(t, "1", "It breaks.")
		second.lacks(t, "2", "None there.")
	})
	want := `| Kind | role | 1 | 2 | 3 |
| --- | --- | --- | --- | --- |
| a | Go | ok | n/a (1) | not run |
| b | Python | unsafe (2) | n/a (1) | not run |

1. None there.
2. It breaks.
`
	got := table.markdown([]string{"1", "2", "3"})
	if got != want {
		t.Errorf("the table is\n%s\nnot\n%s", got, want)
	}
	document := table.place("Text.\n", "old\n") + "More.\n"
	replaced := table.place(document, "new\n")
	if want := strings.Replace(document, "old", "new", 1); replaced != want {
		t.Errorf("the document is\n%s\nnot\n%s", replaced, want)
	}
}
