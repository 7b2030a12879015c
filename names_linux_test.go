package portalocker_test

import (
	"math"

	"github.com/portalocker/portalocker/internal/proclocks"
)

// The tests want to know every holder, however often they are refused.
func init() { proclocks.Burst = math.MaxInt64 }
