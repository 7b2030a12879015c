package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// The tables of a document stand between these lines, the first with a name in it.
const (
	tableBegin = "<!-- table "
	tableEnd   = "<!-- end -->"
)

// fillDocument puts the tables into the file at path.
func fillDocument(path string, tables map[string]string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	filled, err := fill(string(text), tables)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(filled), 0o644)
}

// fill replaces what is between the markers. A table that was not measured stays as
// it is.
func fill(text string, tables map[string]string) (string, error) {
	var b strings.Builder
	known := append(rowNames(rows()), machineTable, targetsTable)
	name := "" // of the table that the line is in
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		_, measured := tables[name]
		switch {
		case strings.HasPrefix(trimmed, tableBegin):
			if name != "" {
				return "", fmt.Errorf("table %s has no line %q", name, tableEnd)
			}
			name = strings.TrimSuffix(strings.TrimPrefix(trimmed, tableBegin), " -->")
			if !slices.Contains(known, name) {
				return "", fmt.Errorf("no table is called %q; there are %s", name, strings.Join(known, ", "))
			}
			b.WriteString(line)
			if table, ok := tables[name]; ok {
				b.WriteString("\n" + strings.TrimSpace(table) + "\n\n")
			}
		case trimmed == tableEnd:
			if name == "" {
				return "", errors.New("a table ends that has not begun")
			}
			name = ""
			b.WriteString(line)
		case !measured:
			b.WriteString(line)
		}
	}
	if name != "" {
		return "", fmt.Errorf("table %s has no line %q", name, tableEnd)
	}
	return b.String(), nil
}
