package main

import (
	"slices"
	"testing"
)

func TestRowsAreComplete(t *testing.T) {
	all := rows()
	var names []string
	for _, w := range all {
		if slices.Contains(names, w.name) {
			t.Errorf("two rows are called %s", w.name)
		}
		names = append(names, w.name)
		if w.what == "" || w.measure == nil || len(w.targets) == 0 || len(w.roles) == 0 {
			t.Errorf("row %s lacks something: %+v", w.name, w)
		}
	}
}

func TestChoose(t *testing.T) {
	all := rows()
	got, err := choose(all, "handover, uncontended")
	if err != nil || len(got) != 2 || got[0].name != "handover" || got[1].name != "uncontended" {
		t.Errorf("choose gave %v, %v", rowNames(got), err)
	}
	if got, err := choose(all, ""); err != nil || len(got) != len(all) {
		t.Errorf("no names choose %v, %v; want all", rowNames(got), err)
	}
	if _, err := choose(all, "uncontended,nonsense"); err == nil {
		t.Error("an unknown row is not an error")
	}
}
