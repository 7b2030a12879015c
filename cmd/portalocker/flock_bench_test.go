//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/testproc"
)

// BenchmarkFlock runs "flock x.lock true", whole processes, by this program and by
// util-linux in turn, and reports the ratio of the medians:
//
//	go test -run '^$' -bench Flock -benchtime 500x ./cmd/portalocker
//
// A program that is built with CGO_ENABLED=0 starts faster.
func BenchmarkFlock(b *testing.B) {
	real := utilLinuxFlock(b)
	for _, cgo := range []string{"0", "1"} {
		b.Run("cgo="+cgo, func(b *testing.B) {
			own := builtFlock(b, cgo)
			file := filepath.Join(b.TempDir(), "x.lock")
			programs := []string{real, own}
			times := map[string][]time.Duration{}
			for b.Loop() {
				for _, program := range programs {
					begin := time.Now()
					if err := exec.Command(program, file, "true").Run(); err != nil {
						b.Fatal(err)
					}
					times[program] = append(times[program], time.Since(begin))
				}
			}
			b.ReportMetric(0, "ns/op") // that of both together says nothing
			b.ReportMetric(median(times[own])/median(times[real]), "times-util-linux")
			b.ReportMetric(median(times[own])*1e3, "ms")
		})
	}
}

// builtFlock is the program itself, under the name of flock: it starts several times
// as fast as the test binary, and many times with the race detector in that.
func builtFlock(t testing.TB, cgo string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flock")
	build := exec.Command(testproc.Tool(t, "go", "install Go"), "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func median(times []time.Duration) float64 {
	slices.Sort(times)
	return times[len(times)/2].Seconds()
}
