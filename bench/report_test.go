package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What was measured can be printed and drawn again from the file of results.
func TestResultsCanBeReadAgain(t *testing.T) {
	rep := sample(t)
	first, second := t.TempDir(), t.TempDir()
	if err := rep.write(first); err != nil {
		t.Fatal(err)
	}
	again, err := readReport(filepath.Join(first, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.write(second); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(charts()) + 2; len(files) != want {
		t.Errorf("%d files, want %d", len(files), want)
	}
	for _, file := range files {
		a, errA := os.ReadFile(filepath.Join(first, file.Name()))
		b, errB := os.ReadFile(filepath.Join(second, file.Name()))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs, or: %v, %v", file.Name(), errA, errB)
		}
	}
}

func TestARowThatIsMeasuredAgainReplacesTheOld(t *testing.T) {
	rep := sample(t)
	before := len(rep.Rows)
	r := newResults()
	r.record(ours, handoverMedian, 42)
	rep.add(handoverRow(), r, "", "", nil)
	if len(rep.Rows) != before {
		t.Errorf("%d rows, before %d", len(rep.Rows), before)
	}
	if got := rep.row("handover").line(ours, handoverMedian); got == nil || got.Median != 42 {
		t.Errorf("the line is %+v", got)
	}
	var names []string
	for _, row := range rep.Rows {
		names = append(names, row.Name)
	}
	if want := rowNames(rows()); !slices.Equal(names, want) {
		t.Errorf("rows %v, want %v", names, want)
	}
}

// Every target is told, also where several are for one figure; who was left out, too.
func TestTablesTellEverything(t *testing.T) {
	rep := sample(t)
	r := newResults()
	r.record(ours, slotAcquire.at(1000), 15e6)
	r.leaveOut(missing{pythonOurs, "it is not here"})
	r.leaveOut(missing{pythonOurs, "it is not here"})
	rep.add(slotsRow(), r, "", "", errors.New("something\nhappened"))
	var b strings.Builder
	if err := rep.markdown(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, w := range rows() {
		for _, target := range w.targets {
			if !strings.Contains(text, "| "+target.who+" | "+target.String()+" |") {
				t.Errorf("no target %s: %s", target.who, target)
			}
		}
		if !strings.Contains(text, w.what) {
			t.Errorf("no row %s", w.what)
		}
	}
	if n := strings.Count(text, "Left out: "+pythonOurs+" (it is not here)"); n != 1 {
		t.Errorf("who was left out is told %d times", n)
	}
	for _, want := range []string{
		"Not complete: something; happened",
		"| who | median, by the number of slots | 1,000 |",
		"| portalocker | acquire+release of the last free one, median | 15 ms |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, rep.row("slots").text())
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{1: "1", 999: "999", 1000: "1,000", 10_000: "10,000", 1_234_567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
