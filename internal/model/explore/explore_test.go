package explore_test

import (
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/model/explore"
)

// turns is Peterson's algorithm for two: each says that it wants, gives the turn to
// the other, and waits until the other does not want or it is its turn.
type turns struct {
	at   [2]uint8 // 0 away, 1 wants, 2 gave the turn away, 3 inside, 4 asleep for ever
	turn uint8
}

func peterson(polite, sleepy bool) explore.Model[turns] {
	return explore.Model[turns]{
		Start: []turns{{}},
		Steps: func(s turns, do func(explore.Step, turns)) {
			for i := range s.at {
				next, other := s, 1-i
				step := explore.Step{Actor: uint8(i)}
				switch s.at[i] {
				case 0:
					step.Kind, step.Action = explore.User, "wants"
					next.at[i] = 1
				case 1:
					step.Action = "gives the turn away"
					if next.at[i] = 2; polite {
						next.turn = uint8(other)
					}
				case 2:
					if s.at[other] != 0 && s.turn != uint8(i) {
						if sleepy {
							next.at[i] = 4
							do(explore.Step{Actor: uint8(i), Action: "falls asleep"}, next)
						}
						continue
					}
					step.Action = "goes in"
					next.at[i] = 3
				case 3:
					step.Kind, step.Action = explore.User, "leaves"
					next.at[i] = 0
				case 4:
					continue
				}
				do(step, next)
			}
		},
		Broken: func(s turns) string {
			if s.at == [2]uint8{3, 3} {
				return "two are inside"
			}
			return ""
		},
		Quiet: func(s turns) (string, bool) {
			if s.at[0] != 3 && s.at[1] != 3 && (s.at[0] == 4 || s.at[1] == 4) {
				return "one sleeps", false
			}
			return "", false
		},
		Limit: 1000,
	}
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		name           string
		polite, sleepy bool
		broken         string
		steps          int
	}{
		{"as it is", true, false, "", 0},
		{"nobody gives the turn away", false, false, "two are inside", 6},
		{"who has to wait is never woken", true, true, "one sleeps", 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := peterson(test.polite, test.sleepy)
			if r := m.Run(); r.Broken != test.broken || len(r.Trace) != test.steps {
				t.Error(r)
			}
		})
	}
}

// TestCounting is about numbers that can be counted by hand: n up to 3, from which a
// safety net leads to 4.
func TestCounting(t *testing.T) {
	for _, test := range []struct {
		name   string
		last   explore.Kind
		circle bool
		limit  int
		broken string
	}{
		{"the net helps", explore.Net, false, 10, ""},
		{"only a user helps", explore.User, false, 10, "the safety net does not help: at three"},
		{"a circle", explore.Net, true, 10, "a circle of steps without end begins here"},
		{"too many", explore.Net, false, 3, "there are more than 3 states"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := explore.Model[int]{
				Start: []int{0},
				Steps: func(n int, do func(explore.Step, int)) {
					switch {
					case n < 3:
						do(explore.Step{Kind: explore.Run, Action: "counts"}, n+1)
					case n == 3:
						do(explore.Step{Kind: test.last, Action: "counts"}, 4)
					}
					if n == 2 && test.circle {
						do(explore.Step{Kind: explore.Pause, Action: "starts over"}, 1)
					}
				},
				Broken: func(int) string { return "" },
				Quiet:  func(n int) (string, bool) { return map[int]string{3: "at three"}[n], true },
				Limit:  test.limit,
			}
			r := m.Run()
			if r.Broken != test.broken {
				t.Fatal(r)
			}
			if test.broken != "" {
				return
			}
			if r.States != 5 || r.Steps != 4 || r.Depth != 4 || r.Quiet != 2 || r.Admitted["at three"] != 1 {
				t.Error(r)
			}
			if text := r.String(); !strings.Contains(text, "1 admitted (at three)") {
				t.Error(text)
			}
		})
	}
}
