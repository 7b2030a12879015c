//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "chaos: the fault campaign needs Linux: its faults are Linux's")
	os.Exit(69)
}
