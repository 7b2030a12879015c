package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// insideVariable says that this process is the coordinator and has its own mounts;
// its value is the seed.
const insideVariable = "PORTALOCKER_CHAOS_INSIDE"

func main() {
	if config := os.Getenv(workerVariable); config != "" {
		exitOn(work(config))
		return
	}
	duration := flag.Duration("duration", 2*time.Minute, "how long to go on, in rounds of some twenty seconds")
	seed := flag.Uint64("seed", 0, "what decides about the faults; 0 takes a random one")
	broken := flag.String("break", "", "do something wrong on purpose, so that the campaign must fail: "+strings.Join(breakages, ", "))
	keep := flag.String("keep", "", "a folder for the histories; they are removed if it is empty")
	flag.Parse()
	inside := os.Getenv(insideVariable)
	switch {
	case inside == "":
		if *seed == 0 {
			*seed = rand.Uint64()
		}
		if status, err := startInside(*seed); err == nil {
			os.Exit(status)
		}
		// Then without mounts of its own: the disk that fills up is left out.
	case *seed == 0:
		*seed, _ = strconv.ParseUint(inside, 10, 64)
	}
	c, err := newCampaign(*seed, *broken, *keep, inside != "")
	exitOn(err)
	err = c.run(*duration)
	c.close()
	exitOn(err)
	if c.report.end() {
		os.Exit(1)
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// startInside starts this program once more, with mounts that nobody else sees and that
// vanish with it, and waits for its end. Who is not root needs a user namespace for that.
func startInside(seed uint64) (status int, err error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"="+strconv.FormatUint(seed, 10))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr = userNamespace()
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	}
	end, err := startTied(cmd)
	if err != nil {
		return 0, err
	}
	if err := <-end; err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() >= 0 {
			return exit.ExitCode(), nil
		}
		exitOn(err)
	}
	return 0, nil
}

// userNamespace starts a process as root of a user namespace of its own.
func userNamespace() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}
