package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// The names of the tables that are of no row.
const (
	machineTable = "machine"
	targetsTable = "targets"
)

// markdown prints the machine, what was to be reached, a table for each row, and what
// went wrong.
func (rep *report) markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(rep.machineText() + "\n" + rep.targetsText())
	for i := range rep.Rows {
		fmt.Fprintf(&b, "\n### %s: %s\n\n%s", rep.Rows[i].Name, rep.Rows[i].What, rep.Rows[i].text())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tables are all parts by the names that a document has for them.
func (rep *report) tables() map[string]string {
	all := map[string]string{machineTable: rep.machineText(), targetsTable: rep.targetsText()}
	for i := range rep.Rows {
		all[rep.Rows[i].Name] = rep.Rows[i].text()
	}
	return all
}

func (rep *report) machineText() string {
	m := rep.Machine
	var versions, loads []string
	for _, row := range rep.Rows {
		if !slices.Contains(versions, row.Version) {
			versions = append(versions, row.Version)
		}
		loads = append(loads, strings.Fields(row.Load + " unknown")[0])
	}
	return fmt.Sprintf(`- Machine: %s, %d CPUs; %s; lock files on %s
- portalocker: %s; with %s
- Beside: %s
- Load average before each row, in their order: %s
`, m.CPU, m.CPUs, m.Kernel, m.Filesystem, strings.Join(versions, ", "), m.Go,
		strings.Join(m.Peers, ", "), strings.Join(loads, ", "))
}

func (rep *report) targetsText() string {
	var b strings.Builder
	b.WriteString("| what | who | to reach | result | met |\n| --- | --- | --- | --- | --- |\n")
	met, all, unknown := 0, 0, 0
	for _, row := range rep.Rows {
		for _, t := range row.Targets {
			verdict := "**no**"
			switch {
			case len(t.Values) == 0:
				verdict = ""
				unknown++
			case t.Met:
				verdict = "yes"
				met++
			}
			all++
			fmt.Fprintf(&b, "| %s: %s | %s | %s | %s | %s |\n", row.What, t.Figure, t.Who, t.Target, t.Result, verdict)
		}
	}
	fmt.Fprintf(&b, "\n%d of %d met", met, all)
	if unknown > 0 {
		fmt.Fprintf(&b, ", %d not measured", unknown)
	}
	b.WriteString(".\n")
	return b.String()
}

// text is the row's table, and under it what is not in it.
func (row *rowReport) text() string {
	var b strings.Builder
	row.figures(&b)
	row.growths(&b)
	for _, l := range row.LeftOut {
		who := l.Who
		if who == "" {
			who = "all"
		}
		fmt.Fprintf(&b, "\nLeft out: %s (%s).\n", who, l.Why)
	}
	if row.Error != "" {
		fmt.Fprintf(&b, "\nNot complete: %s\n", strings.ReplaceAll(row.Error, "\n", "; "))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// figures prints what is measured once a run.
func (row *rowReport) figures(b *strings.Builder) {
	head := false
	for _, line := range row.Lines {
		if line.Series != "" {
			continue
		}
		if !head {
			head = true
			b.WriteString("| who | figure | median | min to max | ÷ portalocker |\n| --- | --- | ---: | ---: | ---: |\n")
		}
		format := line.Unit.format
		fmt.Fprintf(b, "| %s | %s | %s | %s to %s | %s |\n", line.Who, line.Figure,
			format(line.Median), format(line.Min), format(line.Max), line.ratio())
	}
}

// growths prints what is measured as something grows: a column for each step, with
// the medians, and in brackets what they are divided by portalocker's.
func (row *rowReport) growths(b *strings.Builder) {
	var steps []int
	cells := map[[2]string]map[int]string{} // of who and series
	var order [][2]string
	of := ""
	for _, line := range row.Lines {
		if line.Series == "" {
			continue
		}
		k := [2]string{line.Who, line.Series}
		if cells[k] == nil {
			cells[k] = map[int]string{}
			order = append(order, k)
		}
		cells[k][line.Step] = line.Unit.format(line.Median)
		if r := line.ratio(); r != "" {
			cells[k][line.Step] += " (" + r + ")"
		}
		if !slices.Contains(steps, line.Step) {
			steps = append(steps, line.Step)
		}
		of = line.Of
	}
	if len(order) == 0 {
		return
	}
	slices.Sort(steps)
	fmt.Fprintf(b, "\n| who | median, by the number of %s |", of)
	for _, n := range steps {
		fmt.Fprintf(b, " %s |", thousands(n))
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" ---: |", len(steps)) + "\n")
	for _, k := range order {
		fmt.Fprintf(b, "| %s | %s |", k[0], k[1])
		for _, n := range steps {
			fmt.Fprintf(b, " %s |", cells[k][n])
		}
		b.WriteString("\n")
	}
}

func (line *lineReport) ratio() string {
	if line.Base == "" {
		return ""
	}
	return number.format(line.Ratio) + "x"
}
