package portalocker

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLowestTicket: the lowest ticket is found whichever the kernel answers with, and
// with few questions, however many tickets a stranger has placed in what order.
func TestLowestTicket(t *testing.T) {
	const most = 8 + 63
	random := rand.New(rand.NewPCG(1, 2))
	answers := map[string]func(n int) int{
		"the lowest":  func(int) int { return 0 },
		"the highest": func(n int) int { return n - 1 },
		"any":         func(n int) int { return random.IntN(n) },
	}
	for name, answer := range answers {
		for _, n := range []int{0, 1, 2, 1000, 100_000} {
			for _, spread := range []int64{1, 1 << 20, 1 << 40} {
				from, to := int64(firstTicket), int64(firstTicket)+max(int64(n), 1)*spread
				tickets := make([]int64, n)
				for i := range tickets {
					tickets[i] = from + int64(i)*spread + random.Int64N(spread)
				}
				asked := 0
				at, ok := lowestTicket(func(from, to int64) (int64, bool) {
					asked++
					if from >= to {
						return 0, false
					}
					begin, _ := slices.BinarySearch(tickets, from)
					end, _ := slices.BinarySearch(tickets, to)
					if begin == end {
						return 0, false
					}
					return tickets[begin+answer(end-begin)], true
				}, from, to)
				if ok != (n > 0) || ok && at != tickets[0] || asked > most {
					t.Errorf("%s of %d, spread over %d: %d, %v, with %d questions", name, n, spread, at, ok, asked)
				}
			}
		}
	}
}
