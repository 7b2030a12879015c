package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where, and with what, the figures were measured.
type machine struct {
	CPU        string   `json:"cpu"`
	CPUs       int      `json:"cpus"`
	Kernel     string   `json:"kernel"`
	Filesystem string   `json:"filesystem"` // of the lock files
	Go         string   `json:"go"`
	Peers      []string `json:"peers"` // with their versions
}

// peerModules are the modules that are measured, or that those need who are. Each
// belongs to whom has one of the words in the name, as the table shows it.
var peerModules = []struct {
	path string
	of   []string
}{
	{"github.com/gofrs/flock", []string{"gofrs/flock"}},
	{"github.com/rogpeppe/go-internal", []string{"go-internal"}},
	{"github.com/google/renameio/v2", []string{"renameio"}},
	{"github.com/natefinch/atomic", []string{"natefinch"}},
	{"github.com/go-redsync/redsync/v4", []string{"redsync"}},
	{"github.com/bsm/redislock", []string{"bsm/redislock"}},
	{"github.com/redis/rueidis", []string{"rueidislock"}},
	{"github.com/redis/go-redis/v9", []string{"portalocker/redislock", "redsync", "bsm/redislock"}},
}

// describe finds out what it can; what it cannot is "unknown", or not told.
func describe(ctx context.Context, dir string) machine {
	m := machine{
		CPU: cpuModel(), CPUs: runtime.NumCPU(), Kernel: "unknown", Filesystem: filesystem(dir),
		Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:])
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, p := range peerModules {
			for _, dep := range info.Deps {
				if dep.Path == p.path {
					m.Peers = append(m.Peers, strings.TrimPrefix(dep.Path, "github.com/")+" "+dep.Version)
				}
			}
		}
	}
	for _, tool := range append([]string{flockVersion(), redisVersion()}, pythonVersions(ctx)...) {
		if tool != "" {
			m.Peers = append(m.Peers, tool)
		}
	}
	return m
}

// same says whether figures of both can stand in one table.
func (m machine) same(other machine) bool {
	return m.CPU == other.CPU && m.CPUs == other.CPUs && m.Kernel == other.Kernel &&
		m.Filesystem == other.Filesystem && m.Go == other.Go && slices.Equal(m.Peers, other.Peers)
}

// peersOf are those of the versions that belong to one of whos.
func (m machine) peersOf(whos []string) []string {
	var of []string
	for _, peer := range m.Peers {
		name, _, _ := strings.Cut(peer, " ")
		for _, who := range whos {
			if belongs(name, peer, who) {
				of = append(of, peer)
				break
			}
		}
	}
	return of
}

func belongs(name, peer, who string) bool {
	switch name {
	case "Python":
		return strings.HasPrefix(peer, who+" ") || strings.HasPrefix(who, "Python ") && strings.Count(peer, " ") == 1
	case flockCommand:
		return who == flockCommand
	case "redis-server":
		return slices.Contains(redisPeers, who)
	}
	for _, p := range peerModules {
		if p.path == "github.com/"+name {
			return slices.ContainsFunc(p.of, func(word string) bool { return strings.Contains(who, word) })
		}
	}
	return false
}

// ownVersion is the commit of this checkout.
func ownVersion(ctx context.Context) string {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0") // it is only to look
		said, err := cmd.Output()
		return strings.TrimSpace(string(said)), err
	}
	commit, err := git("rev-parse", "--short=10", "HEAD")
	if err != nil {
		return "this checkout"
	}
	if changed, err := git("status", "--porcelain", "--untracked-files=no"); err == nil && changed != "" {
		return "commit " + commit + " with changes"
	}
	return "commit " + commit
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
