package main

import (
	"testing"
	"time"

	"github.com/portalocker/portalocker"
)

func TestTimeoutFlag(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0":          0,
		"0s":         0,
		"5":          5 * time.Second,
		"+5":         5 * time.Second,
		"5.":         5 * time.Second,
		".007":       7 * time.Millisecond,
		"0.5":        500 * time.Millisecond,
		"1m30s":      90 * time.Second,
		"5m":         5 * time.Minute,
		"250ms":      250 * time.Millisecond,
		"9223372036": 9223372036 * time.Second,
	} {
		var f timeoutFlag
		if err := f.Set(s); err != nil || time.Duration(f) != want {
			t.Errorf("%q: %v, %v; want %v", s, time.Duration(f), err, want)
		}
	}
	for _, s := range []string{
		"", " ", ".", "-1", "-0.5s", "-0", "nan", "NaN", "inf", "Infinity", "1e3", "0x10", "1_000", "5 s", "1h30", "soon",
		"9223372037", "99999999999999999999", "3000000h",
	} {
		f := timeoutFlag(portalocker.Forever)
		if err := f.Set(s); err == nil {
			t.Errorf("%q was taken for %v", s, time.Duration(f))
		} else if time.Duration(f) != portalocker.Forever {
			t.Errorf("%q failed, and changed the timeout to %v", s, time.Duration(f))
		}
	}
}
