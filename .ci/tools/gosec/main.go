// Command gosec runs the rules of gosec (github.com/securego/gosec) over folders of
// Go packages:
//
//	gosec LIST FOLDER...
//
// LIST is a file of what is accepted: on each line a rule, a file relative to the
// working directory (or * for all files), and the reason. A finding that is not
// there, and a line that nothing needs any more, makes it fail.
//
// It is here, and gosec's own command is not, since that brings along the clients of
// several services that suggest repairs, which take minutes to compile.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/securego/gosec/v2"
	"github.com/securego/gosec/v2/analyzers"
	"github.com/securego/gosec/v2/issue"
	"github.com/securego/gosec/v2/rules"
)

// acceptance is a line of the list.
type acceptance struct {
	line, rule, file string
	needed           bool
}

func main() {
	if len(os.Args) < 3 {
		fail(errors.New("give a LIST and one FOLDER or more"))
	}
	list, err := readList(os.Args[1])
	if err != nil {
		fail(err)
	}
	findings, err := analyze(os.Args[2:])
	if err != nil {
		fail(err)
	}
	bad := 0
	for _, f := range findings {
		file := relative(f.File)
		if !accepted(list, f.RuleID, file) {
			fmt.Printf("%s:%s: %s: %s\n", file, f.Line, f.RuleID, f.What)
			bad++
		}
	}
	for _, a := range list {
		if !a.needed {
			fmt.Printf("%s: nothing needs %q any more\n", os.Args[1], a.line)
			bad++
		}
	}
	if bad > 0 {
		os.Exit(1)
	}
	fmt.Printf("gosec: %d folders, %d findings, all of them accepted\n", len(os.Args)-2, len(findings))
}

func readList(path string) ([]*acceptance, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []*acceptance
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: %q lacks a file or a reason", path, line)
		}
		list = append(list, &acceptance{line: line, rule: fields[0], file: fields[1]})
	}
	return list, nil
}

// analyze runs all rules over the packages, without their tests.
func analyze(folders []string) ([]*issue.Issue, error) {
	analyzer := gosec.NewAnalyzer(gosec.NewConfig(), false, false, false, runtime.NumCPU(), log.New(io.Discard, "", 0))
	analyzer.LoadRules(rules.Generate(false).RulesInfo())
	analyzer.LoadAnalyzers(analyzers.Generate(false).AnalyzersInfo())
	if err := analyzer.Process(nil, folders...); err != nil {
		return nil, err
	}
	findings, metrics, failures := analyzer.Report()
	for file, all := range failures {
		return nil, fmt.Errorf("%s: %v", file, all)
	}
	if metrics.NumFiles == 0 {
		return nil, errors.New("there is no Go in these folders")
	}
	slices.SortFunc(findings, func(a, b *issue.Issue) int { return strings.Compare(a.File+a.Line, b.File+b.Line) })
	return findings, nil
}

func accepted(list []*acceptance, rule, file string) bool {
	for _, a := range list {
		if a.rule == rule && (a.file == "*" || a.file == file) {
			a.needed = true
			return true
		}
	}
	return false
}

func relative(file string) string {
	wd, err := os.Getwd()
	if err != nil {
		return file
	}
	if short, err := filepath.Rel(wd, file); err == nil {
		return filepath.ToSlash(short)
	}
	return file
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gosec:", err)
	os.Exit(2)
}
