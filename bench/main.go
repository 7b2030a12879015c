// Command bench measures this module's locks beside those of others, and prints
// one table. See README.md. It needs Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
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

func bench(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := flags.String("rows", "", "the rows to measure, separated by commas (default all): "+strings.Join(rowNames(rows()), ", "))
	runs := flags.Int("runs", 5, "how often to measure each row; the median is the figure")
	asJSON := flags.Bool("json", false, "print JSON, with the values of all runs, instead of Markdown")
	in := flags.String("dir", os.TempDir(), "where to put the lock files")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 || *runs < 1 {
		return fmt.Errorf("usage: bench [-rows NAMES] [-runs N] [-json] [-dir DIR], with N of at least 1")
	}
	chosen, err := choose(rows(), *names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(*in, "portalocker-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	rep := report{Machine: describe(dir)}
	var failed []error
	for _, w := range chosen {
		r, err := w.do(ctx, dir, *runs, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format, args...) })
		rep.add(w, r, err)
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	if *asJSON {
		failed = append(failed, rep.json(os.Stdout))
	} else {
		failed = append(failed, rep.markdown(os.Stdout))
	}
	return errors.Join(failed...)
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
