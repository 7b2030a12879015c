package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The disk that fills up: small, so that filling it takes no time.
const diskOptions = "size=4m,nr_inodes=300,mode=0777"

// mountDisk mounts it, where nobody else sees it.
func mountDisk(folder string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("tmpfs", folder, "tmpfs", 0, diskOptions)
}

// toDisk does something to the disk that has the lock files.
func (in *injector) toDisk(kind string) {
	f := &fault{kind: kind}
	filler := filepath.Join(in.disk, fillers)
	switch kind {
	case fillBytes:
		in.begin(f, func() error { return fillWithBytes(filler) })
	case fillNames:
		in.begin(f, func() error { return fillWithNames(filler) })
	case oldTimes:
		in.once(f, in.oldTimes)
		return
	}
	in.lasts(f, in.between(200*time.Millisecond, 1500*time.Millisecond), func() { in.fail(os.RemoveAll(filler)) })
}

// fillers is the name of what fills up the disk.
const fillers = "fillers"

// fillWithBytes writes until there is no room. The last bytes are looked for with single
// ones, so that nothing fits any more.
func fillWithBytes(folder string) error {
	if err := os.Mkdir(folder, 0o700); ignoring(err, syscall.EEXIST, syscall.ENOSPC) != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(folder, "bytes"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return ignoring(err, syscall.ENOSPC, syscall.ENOENT) // it is full already
	}
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = file.Write(make([]byte, size))
		}
	}
	return errors.Join(ignoring(err, syscall.ENOSPC), file.Close())
}

// fillWithNames makes files until there is no inode left.
func fillWithNames(folder string) error {
	if err := os.Mkdir(folder, 0o700); ignoring(err, syscall.EEXIST, syscall.ENOSPC) != nil {
		return err
	}
	for n := 0; ; n++ {
		file, err := os.OpenFile(filepath.Join(folder, fmt.Sprint(n)), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return ignoring(err, syscall.ENOSPC, syscall.ENOENT)
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
}

func ignoring(err error, those ...error) error {
	for _, one := range those {
		if errors.Is(err, one) {
			return nil
		}
	}
	return err
}

// oldTimes sets the times of all files far back, or far ahead.
func (in *injector) oldTimes() error {
	entries, err := os.ReadDir(in.disk)
	if err != nil {
		return err
	}
	for i, e := range entries {
		years := 20 * (1 - 2*(i%2))
		at := time.Now().AddDate(years, 0, 0)
		if err := os.Chtimes(filepath.Join(in.disk, e.Name()), at, at); ignoring(err, syscall.ENOENT) != nil {
			return err
		}
	}
	return nil
}
