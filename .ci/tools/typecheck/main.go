// Command typecheck checks the packages of a module, with their tests, for several
// platforms, as far as the types: what compiles here for all of them.
//
//	typecheck GOOS/GOARCH... -- PATTERN...
//
// It reads everything from its sources, the standard library too, and of what is not
// asked for only the declarations. To compile the standard library for a platform that
// nothing is run on takes ten times as long.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	split := slices.Index(os.Args, "--")
	if split < 2 || split == len(os.Args)-1 {
		fail(errors.New("give one GOOS/GOARCH or more, --, and patterns of packages"))
	}
	bad := 0
	for _, platform := range os.Args[1:split] {
		checked, errs := check(platform, os.Args[split+1:])
		for _, err := range errs {
			fmt.Printf("%s: %v\n", platform, err)
		}
		fmt.Printf("%s: %d packages, %d errors\n", platform, checked, len(errs))
		bad += len(errs)
	}
	if bad > 0 {
		os.Exit(1)
	}
}

// check gives what is wrong for a platform, and how many packages were looked at.
func check(platform string, patterns []string) (checked int, errs []error) {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return 0, []error{errors.New("not GOOS/GOARCH")}
	}
	all, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax,
		Env:   append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch),
		Tests: true,
	}, patterns...)
	if err != nil {
		return 0, []error{err}
	}
	packages.Visit(all, nil, func(p *packages.Package) {
		for _, err := range p.Errors {
			errs = append(errs, err)
		}
	})
	return len(all), errs
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "typecheck:", err)
	os.Exit(64)
}
