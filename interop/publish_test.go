//go:build unix

package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

// atomicSize is more than one write of either side's buffers.
const atomicSize = 1 << 18

// Up to 3.2.0, open_atomic looks for the destination only when it begins, and then
// publishes with os.rename, which replaces what is there (portalocker/utils.py, lines
// 92 and 107 in 3.2.0, 87 and 102 in 2.10.1). Since 4.0.0 it uses os.link.
const brokenAtomic = "`open_atomic` before 4.0.0 replaces a file that came while it was writing, and reports success. " +
	"The content is whole all the same."

// atomicSound is the first version that publishes without replacing.
const atomicSound = "4.0.0"

// Both sides write the same file: the first wins, the other learns it, and the file
// is the first one's, whole.
func TestAtomic(t *testing.T) {
	versions := pythonVersions(t)
	label := "`open_atomic` with `OpenAtomic`"
	pythonFirst := fileResults.row(label, "Python is first")
	goFirst := fileResults.row(label, "Go is first")
	atOnce := fileResults.row(label, "both at once")
	for _, version := range versions {
		t.Run("Python is first/"+version, func(t *testing.T) {
			t.Parallel()
			pythonFirst.ok(t, version)
			checkAtomic(t, pythonSide(version), goSide, "exists", "a")
		})
		t.Run("Go is first/"+version, func(t *testing.T) {
			t.Parallel()
			if before(version, atomicSound) {
				goFirst.unsafe(t, version, brokenAtomic)
				checkAtomic(t, goSide, pythonSide(version), "ok", "b")
				return
			}
			goFirst.ok(t, version)
			checkAtomic(t, goSide, pythonSide(version), "exists", "a")
		})
		t.Run("both at once/"+version, func(t *testing.T) {
			t.Parallel()
			if before(version, atomicSound) {
				atOnce.unsafe(t, version, brokenAtomic)
			} else {
				atOnce.ok(t, version)
			}
			raceAtomic(t, version)
		})
	}
}

// checkAtomic lets both open a file and then publish it, and says what the second
// one must hear, and whose letters the file has then.
func checkAtomic(t *testing.T, first, second side, answer, letter string) {
	folder := t.TempDir()
	a, b := first.start(t, "atomic", folder), second.start(t, "atomic", folder)
	for p, letter := range map[*testproc.Process]string{a: "a", b: "b"} {
		ask(p, "open it", "ok")
		ask(p, fmt.Sprintf("write %s %d", letter, atomicSize), "ok")
	}
	ask(a, "commit", "ok")
	isWhole(t, filepath.Join(folder, "it"), "a")
	ask(b, "commit", answer)
	isWhole(t, filepath.Join(folder, "it"), letter)

	// Neither begins a file that is there. Before 4.2.0, Python says so by an
	// AssertionError.
	for _, p := range []*testproc.Process{a, b} {
		p.Say("open it")
		if got := p.Hear(); !strings.HasPrefix(got, "exists") && !strings.HasPrefix(got, "error AssertionError") {
			t.Errorf("opening a file that exists: %q", got)
		}
	}
}

// raceAtomic lets both publish at once, some times.
func raceAtomic(t *testing.T, version string) {
	folder := t.TempDir()
	peers := []*testproc.Process{goSide.start(t, "atomic", folder), pythonSide(version).start(t, "atomic", folder)}
	letters := []string{"g", "p"}
	for round := range 10 {
		name := fmt.Sprint(round)
		for i, p := range peers {
			ask(p, "open "+name, "ok")
			ask(p, fmt.Sprintf("write %s %d", letters[i], atomicSize), "ok")
		}
		for _, p := range peers {
			p.Say("commit")
		}
		var winners string
		for i, p := range peers {
			switch got := p.Hear(); {
			case strings.HasPrefix(got, "ok"):
				winners += letters[i]
			case !strings.HasPrefix(got, "exists"):
				t.Fatalf("round %d: %s: %q", round, letters[i], got)
			}
		}
		if winners == "gp" && before(version, atomicSound) {
			winners = "p" // who replaced the other's file
		}
		if len(winners) != 1 {
			t.Fatalf("round %d has the winners %q", round, winners)
		}
		isWhole(t, filepath.Join(folder, name), winners)
	}
}

func isWhole(t *testing.T, path, letter string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.Repeat([]byte(letter), atomicSize)) {
		t.Fatalf("%s is not %d times %s: %d bytes, first %.20q, last %.20q", path, atomicSize, letter, len(got), got, got[max(0, len(got)-20):])
	}
}
