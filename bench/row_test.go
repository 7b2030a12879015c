package main

import (
	"errors"
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
		if w.what == "" || w.measure == nil || len(w.roles) == 0 {
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

// One who is missing does not keep the others from being measured.
func TestInTurnLeavesOutWhoIsMissing(t *testing.T) {
	r := &run{results: newResults(), number: 1}
	var asked []string
	err := r.inTurn([]string{"a", "b", "c"}, func(who string) error {
		asked = append(asked, who)
		if who == "c" {
			return &missing{why: "gone"}
		}
		return nil
	})
	if err != nil || !slices.Equal(asked, []string{"b", "c", "a"}) {
		t.Errorf("asked %v, error %v", asked, err)
	}
	if len(r.leftOut) != 1 || r.leftOut[0] != (missing{"c", "gone"}) {
		t.Errorf("left out: %v", r.leftOut)
	}
	broken := errors.New("broken")
	if err := r.inTurn([]string{"a"}, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}
