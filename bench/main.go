// Command bench measures this module's locks beside those of others, and prints
// one table. See README.md. It needs Linux.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == childArg {
		if err := beChild(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what the command line says.
type settings struct {
	rows []*row
	runs int
	dir  string // where the lock files are
	from string // a file of results
	out  string // the folder for results and charts
	docs string // the document with tables
	json bool
}

func bench(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	rep := &report{}
	if s.from != "" {
		if rep, err = readReport(s.from); err != nil {
			return err
		}
	}
	failed := measureAll(ctx, s, rep)
	if s.json {
		err = rep.json(os.Stdout)
	} else {
		err = rep.markdown(os.Stdout)
	}
	failed = errors.Join(failed, err)
	if s.out != "" {
		failed = errors.Join(failed, rep.write(s.out))
	}
	if s.docs != "" {
		failed = errors.Join(failed, fillDocument(s.docs, rep.tables()))
	}
	return failed
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := flags.String("rows", "", "the rows to measure, separated by commas (default all): "+strings.Join(rowNames(rows()), ", "))
	flags.IntVar(&s.runs, "runs", 5, "how often to measure each row; the median is the figure")
	flags.StringVar(&s.dir, "dir", os.TempDir(), "where to put the lock files")
	flags.StringVar(&s.out, "out", "", "a folder for "+resultsFile+", "+tablesFile+" and the charts")
	flags.StringVar(&s.docs, "docs", "", "a Markdown file, to fill the tables between its markers")
	flags.StringVar(&s.from, "from", "", "a "+resultsFile+" to begin with: only what -rows names is measured (default nothing)")
	flags.BoolVar(&s.json, "json", false, "print JSON, with the values of all runs, instead of Markdown")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 || s.runs < 1 {
		return s, errors.New("usage: bench [-rows NAMES] [-runs N] [-dir DIR] [-out DIR] [-docs FILE] [-from FILE] [-json], with N of at least 1")
	}
	if s.from == "" || *names != "" {
		s.rows, err = choose(rows(), *names)
	}
	return s, err
}

// measureAll measures the chosen rows and adds them to the report.
func measureAll(ctx context.Context, s settings, rep *report) error {
	if len(s.rows) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp(s.dir, "portalocker-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	here := describe(ctx, dir)
	if s.from != "" && !rep.Machine.same(here) {
		return fmt.Errorf("%s was measured on another machine, or with other versions: %+v; here: %+v", s.from, rep.Machine, here)
	}
	rep.Machine = here
	var failed []error
	for _, w := range s.rows {
		version, load := ownVersion(ctx), loadAverage()
		r, err := w.do(ctx, dir, s.runs, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format, args...) })
		rep.add(w, r, version, load, err)
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// The files that -out writes, beside the charts.
const (
	resultsFile = "results.json"
	tablesFile  = "results.md"
)

// write puts the results, the tables and the charts into a folder.
func (rep *report) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var results, tables bytes.Buffer
	err := errors.Join(rep.json(&results), rep.markdown(&tables))
	if err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(folder, resultsFile), results.Bytes(), 0o644),
		os.WriteFile(filepath.Join(folder, tablesFile), tables.Bytes(), 0o644),
	)
	for _, c := range charts() {
		if !c.drawable(rep) {
			continue
		}
		svg, drawn := c.svg(rep)
		if drawn == nil {
			drawn = os.WriteFile(filepath.Join(folder, c.name+".svg"), svg, 0o644)
		}
		err = errors.Join(err, drawn)
	}
	return err
}

// choose finds the rows that a list of names asks for; none asks for all.
func choose(all []*row, names string) ([]*row, error) {
	if names == "" {
		return all, nil
	}
	var chosen []*row
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(all, func(w *row) bool { return w.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("no row %q; there are %s", name, strings.Join(rowNames(all), ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func rowNames(all []*row) []string {
	var names []string
	for _, w := range all {
		names = append(names, w.name)
	}
	return names
}
