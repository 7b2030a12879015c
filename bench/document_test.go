package main

import (
	"strings"
	"testing"
)

func TestFill(t *testing.T) {
	const text = `before
<!-- table handover -->
old
<!-- end -->
between
<!-- table greedy -->
stays
<!-- end -->
after
`
	const want = `before
<!-- table handover -->

new

<!-- end -->
between
<!-- table greedy -->
stays
<!-- end -->
after
`
	tables := map[string]string{"handover": "new\n"}
	got, err := fill(text, tables)
	if err != nil || got != want {
		t.Errorf("fill: %v\n%s", err, got)
	}
	if again, err := fill(got, tables); err != nil || again != want {
		t.Errorf("filled once more: %v\n%s", err, again)
	}
}

func TestFillReportsBrokenDocuments(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"<!-- table nonsense -->\n<!-- end -->\n", "nonsense"},
		{"<!-- table greedy -->\n", "greedy"},
		{"<!-- table greedy -->\n<!-- table handover -->\n<!-- end -->\n", "greedy"},
		{"<!-- end -->\n", "not begun"},
	} {
		if _, err := fill(c.text, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("fill(%q): %v, want something about %s", c.text, err, c.want)
		}
	}
}
