package main

import (
	"errors"
	"os"
)

// openForFlock opens a file to lock it.
func openForFlock(path string, how int) (*os.File, error) { return os.OpenFile(path, how, 0o666) }

// inheritedFile is never called: locks are not inherited.
func inheritedFile(int) (*os.File, error) { return nil, errors.ErrUnsupported }
