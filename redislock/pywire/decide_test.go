package pywire

import (
	"maps"
	"slices"
	"testing"
)

// What the others may be; ids are sorted by their letters, and this one is m.
var (
	holderA   = reply{id: "a", mode: exclusive, elected: notElected}
	holderZ   = reply{id: "z", mode: exclusive, elected: notElected}
	oldHolder = reply{id: "z", mode: exclusive} // a Python before 4.2
	legacyOne = reply{mode: exclusive, legacy: true}
	readerA   = reply{id: "a", mode: shared, elected: notElected}
	readerZ   = reply{id: "z", mode: shared, elected: notElected}
	writerA   = reply{id: "a", mode: pending, elected: notElected}
	writerZ   = reply{id: "z", mode: pending, elected: notElected}
	electedA  = reply{id: "a", mode: pending, elected: isElected}
	electedZ  = reply{id: "z", mode: pending, elected: isElected}
	oldA      = reply{id: "a", mode: pending}
	oldZ      = reply{id: "z", mode: pending}
)

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		want     mode
		elected  bool
		others   []reply
		expected verdict
	}{
		"a writer alone":                                 {pending, false, nil, enter},
		"a holder":                                       {pending, false, []reply{holderZ}, blocked},
		"a holder, and this one is elected":              {pending, true, []reply{holderZ}, blocked},
		"a legacy holder":                                {pending, false, []reply{legacyOne}, blocked},
		"lowest of the writers":                          {pending, false, []reply{writerZ, oldZ}, enter},
		"not the lowest":                                 {pending, false, []reply{writerA, writerZ}, blocked},
		"not the lowest, by an old one":                  {pending, false, []reply{oldA}, blocked},
		"another one is elected, though higher":          {pending, false, []reply{electedZ}, blocked},
		"readers, and lowest":                            {pending, false, []reply{readerA, readerZ, writerZ}, wait},
		"readers, and not the lowest":                    {pending, false, []reply{readerA, writerA}, blocked},
		"elected, readers are left":                      {pending, true, []reply{readerA}, wait},
		"elected, readers are gone":                      {pending, true, nil, enter},
		"elected, and a lower one comes, who will see":   {pending, true, []reply{writerA}, wait},
		"elected, and a lower old one comes, who cannot": {pending, true, []reply{oldA}, blocked},
		"elected, and a higher old one":                  {pending, true, []reply{oldZ}, enter},
		"two elected, this one is lower":                 {pending, true, []reply{electedZ}, enter},
		"two elected, this one is higher":                {pending, true, []reply{electedA}, blocked},
		"a reader alone":                                 {shared, false, nil, enter},
		"a reader among readers":                         {shared, false, []reply{readerA, readerZ}, enter},
		"a reader and a writer":                          {shared, false, []reply{readerA, writerZ}, blocked},
		"a reader and an old writer":                     {shared, false, []reply{oldZ}, blocked},
		"a reader and a holder":                          {shared, false, []reply{holderA}, blocked},
		"a reader and a legacy holder":                   {shared, false, []reply{readerA, legacyOne}, blocked},
	} {
		for _, others := range [][]reply{c.others, reversed(c.others)} {
			if v := decide("m", c.want, c.elected, others); v != c.expected {
				t.Errorf("%s: %v, not %v", name, v, c.expected)
			}
		}
	}
}

func TestContest(t *testing.T) {
	for name, c := range map[string]struct {
		others   []reply
		stepBack bool
		rivals   []string
	}{
		"alone":                       {nil, false, nil},
		"a lower holder":              {[]reply{holderA}, true, nil},
		"a higher holder":             {[]reply{holderZ}, false, []string{"z"}},
		"an old holder":               {[]reply{oldHolder}, true, nil},
		"legacy ones":                 {[]reply{legacyOne, legacyOne}, false, []string{""}},
		"a higher writer":             {[]reply{writerZ}, false, nil},
		"a higher elected writer":     {[]reply{electedZ}, false, nil},
		"a higher old writer":         {[]reply{oldZ}, false, []string{"z"}},
		"a lower writer":              {[]reply{writerA}, false, []string{"a"}},
		"readers":                     {[]reply{readerA, readerZ}, false, []string{"a", "z"}},
		"a lower holder among others": {[]reply{readerZ, holderA, legacyOne}, true, nil},
	} {
		rivals, stepBack := contest("m", c.others)
		if ids := slices.Sorted(maps.Keys(rivals)); stepBack != c.stepBack || !slices.Equal(ids, c.rivals) {
			t.Errorf("%s: %q, %v", name, ids, stepBack)
		}
	}
}

func TestRemaining(t *testing.T) {
	first, _ := contest("m", []reply{readerA, oldZ, legacyOne})
	for name, c := range map[string]struct {
		now  []reply
		left []string
	}{
		"all are there":                   {[]reply{readerA, oldZ, legacyOne}, []string{"", "a", "z"}},
		"one has gone":                    {[]reply{readerA}, []string{"a"}},
		"one has gone, a late one came":   {[]reply{readerA, {id: "b", mode: pending}}, []string{"a"}},
		"all have gone, late ones came":   {[]reply{{id: "b", mode: shared}, {id: "n", mode: pending}}, nil},
		"a late one is exclusive":         {[]reply{{id: "n", mode: exclusive, elected: notElected}}, []string{"n"}},
		"one has become exclusive":        {[]reply{holderZ}, []string{"z"}},
		"a late legacy one is exclusive,": {[]reply{legacyOne}, []string{""}},
	} {
		current, _ := contest("m", c.now)
		if ids := slices.Sorted(maps.Keys(remaining(first, current))); !slices.Equal(ids, c.left) {
			t.Errorf("%s: %q", name, ids)
		}
	}
	if len(remaining(nil, first)) != 3 {
		t.Error("the first look counts in full")
	}
}

// A writer waits for the readers that were there before it, and for no others.
func TestEarly(t *testing.T) {
	others, left := early(nil, []reply{readerA, writerZ})
	if len(others) != 2 || len(left) != 1 {
		t.Fatalf("at the first look: %v, %v", others, left)
	}
	others, left = early(left, []reply{readerA, readerZ, writerZ})
	if !slices.Equal(others, []reply{readerA, writerZ}) || len(left) != 1 {
		t.Errorf("a reader has come: %v, %v", others, left)
	}
	_, left = early(left, []reply{readerZ})
	others, left = early(left, []reply{readerA, readerZ, holderZ})
	if !slices.Equal(others, []reply{holderZ}) || len(left) != 0 {
		t.Errorf("the reader has gone, and come back: %v, %v", others, left)
	}
}

func reversed(others []reply) []reply {
	others = slices.Clone(others)
	slices.Reverse(others)
	return others
}
