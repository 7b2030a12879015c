package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where, and with what, the figures were measured.
type machine struct {
	CPU        string   `json:"cpu"`
	CPUs       int      `json:"cpus"`
	Load       string   `json:"load"` // the load averages of 1, 5 and 15 minutes at the start
	Kernel     string   `json:"kernel"`
	Filesystem string   `json:"filesystem"` // of the lock files
	Go         string   `json:"go"`
	Modules    []string `json:"modules"`
}

// describe finds out what it can; what it cannot is "unknown".
func describe(dir string) machine {
	m := machine{
		CPU: cpuModel(), CPUs: runtime.NumCPU(), Load: loadAverage(), Kernel: "unknown", Filesystem: filesystem(dir),
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:])
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Replace == nil { // what is replaced is this checkout
				m.Modules = append(m.Modules, dep.Path+" "+dep.Version)
			}
		}
	}
	return m
}

func (m machine) markdown(w io.Writer) {
	fmt.Fprintf(w, "- Machine: %s, %d CPUs, load average at the start %s\n- Kernel: %s, lock files on %s\n- Go: %s\n- With: %s\n",
		m.CPU, m.CPUs, m.Load, m.Kernel, m.Filesystem, m.Go, strings.Join(m.Modules, ", "))
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH // not every architecture names its model
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}

func filesystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "unknown"
	}
	switch uint32(st.Type) { // the type of the field differs between architectures
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	}
	return fmt.Sprintf("filesystem type %#x", uint32(st.Type))
}
