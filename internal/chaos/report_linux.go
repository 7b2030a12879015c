package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what a campaign has to say.
type report struct {
	seed       uint64
	began      time.Time
	kinds      map[string]*counts
	violations []violation
	rounds     int
	workers    int
	faults     map[string]int
	missing    []string
	latest     time.Duration // the longest that a timer came too late
}

func newReport(seed uint64) *report {
	fmt.Printf("seed %d\n", seed)
	return &report{seed: seed, began: time.Now(), kinds: map[string]*counts{}}
}

// without says what is left out.
func (r *report) without(why string) {
	r.missing = append(r.missing, why)
	fmt.Printf("left out: %s\n", why)
}

// line says how far it has come.
func (c *campaign) line() {
	n := 0
	for _, done := range c.done {
		n += done
	}
	fmt.Printf("%4d s: %d faults, %d workers started\n", int(time.Since(c.report.began).Seconds()), n, c.workers)
}

// round takes up what a round has shown.
func (r *report) round(n int, c *campaign, took time.Duration) {
	r.rounds, r.workers, r.faults = n+1, c.workers, c.done
	r.violations = append(r.violations, c.round.found...)
	r.latest = max(r.latest, c.round.lateIn(0, never))
	grants := 0
	for _, k := range r.kinds {
		grants += k.granted
	}
	fmt.Printf("%4d s: round %d took %.1f s: %d requests, %d faults; so far %d grants, %d violations\n", int(time.Since(r.began).Seconds()),
		n+1, took.Seconds(), len(c.round.operations), len(c.round.faults), grants, len(r.violations))
}

func (r *report) failed() bool { return len(r.violations) > 0 }

// end prints the tables, and what was found. It says whether anything was.
func (r *report) end() bool {
	fmt.Printf("\nseed %d, %v, %d rounds, %d workers; a timer came up to %v too late\n\n",
		r.seed, time.Since(r.began).Round(time.Second), r.rounds, r.workers, r.latest.Round(time.Millisecond))
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "lock\trequests\tgrants\twaited\trefused\tfailed\tlost\tviolations\tlongest wait while free\t") //nolint:errcheck // Flush tells
	for _, k := range kinds {
		n := r.kinds[k.name]
		if n == nil {
			continue
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t\n", k.name, n.asked, n.granted, n.waited, n.refused, n.failed, n.lost, n.violations, n.longest.Round(100*time.Microsecond)) //nolint:errcheck // Flush tells
	}
	fmt.Fprintln(out)                   //nolint:errcheck // Flush tells
	fmt.Fprintln(out, "fault\ttimes\t") //nolint:errcheck // Flush tells
	for _, kind := range slices.Sorted(maps.Keys(r.faults)) {
		fmt.Fprintf(out, "%s\t%d\t\n", kind, r.faults[kind]) //nolint:errcheck // Flush tells
	}
	_ = out.Flush() // a report that cannot be printed has nobody to tell
	for _, why := range r.missing {
		fmt.Printf("left out: %s\n", why)
	}
	if !r.failed() {
		fmt.Println("\nno violations")
		return false
	}
	r.showViolations()
	return true
}

// showViolations shows the first few of each check.
func (r *report) showViolations() {
	const few = 3
	said := map[string]int{}
	for _, v := range r.violations {
		if said[v.check]++; said[v.check] > few {
			continue
		}
		fmt.Printf("\nVIOLATION, %s, at %.6f s: %s\n", v.check, float64(v.at)/1e9, v.text)
		if len(v.proof) > 0 {
			fmt.Println("    " + strings.Join(v.proof, "\n    "))
		}
	}
	for _, check := range slices.Sorted(maps.Keys(said)) {
		fmt.Printf("\n%d violations of: %s", said[check], check)
	}
	fmt.Printf("\n\nthe same faults once more: go run ./internal/chaos -seed %d\n", r.seed)
}
