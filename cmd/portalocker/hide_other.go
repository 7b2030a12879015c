//go:build !linux

package main

// hide does nothing: not every system shows the arguments from where a program can
// change them. The help of "portalocker redis" says so.
func hide(string) {}
