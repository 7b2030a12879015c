package portalocker

// The steps of an AtomicFile, for tests that make one fail or stop at it.
const (
	StepNameless   = stepNameless
	StepNamed      = stepNamed
	StepSync       = stepSync
	StepLink       = stepLink
	StepRename     = stepRename
	StepMove       = stepMove
	StepUnlink     = stepUnlink
	StepSyncFolder = stepSyncFolder
)

// AtomicStep is a step, and BeforeStep what is called before each. An error of it
// is the step's; ErrUnsupported leads to the next way to do the same.
type AtomicStep = atomicStep

func BeforeStep(before func(AtomicStep) error) AtomicOption {
	return func(s *atomicSettings) { s.before = before }
}
