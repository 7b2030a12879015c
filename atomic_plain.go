//go:build !linux && !darwin && !windows

package portalocker

var thisSystem atomicSystem
