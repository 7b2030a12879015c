package portalocker

import (
	"context"
	"path/filepath"
	"testing"
)

func BenchmarkUncontended(b *testing.B) {
	l := New(filepath.Join(b.TempDir(), "x.lock"))
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Acquire(ctx); err != nil {
			b.Fatal(err)
		}
		if err := l.Release(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUncontendedNew(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.lock")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		l := New(path)
		if _, err := l.Acquire(ctx); err != nil {
			b.Fatal(err)
		}
		if err := l.Release(); err != nil {
			b.Fatal(err)
		}
	}
}
