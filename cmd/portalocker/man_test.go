package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"github.com/portalocker/portalocker/internal/testproc"
)

var update = flag.Bool("update", false, "write the manual pages anew")

// manualPages is where they are, as "go generate" writes them. The generator is a
// test, so that what it needs does not get into the program.
const manualPages = "../../docs/man"

func TestManualPages(t *testing.T) {
	want := map[string][]byte{}
	root := newRoot(streams{os.Stdin, os.Stdout, os.Stderr})
	for _, cmd := range withSubcommands(root) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		want[name] = manualPage(t, cmd)
	}
	if *update {
		for name, page := range want {
			if err := os.WriteFile(filepath.Join(manualPages, name), page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := filepath.Glob(filepath.Join(manualPages, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		name := filepath.Base(path)
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want[name]) {
			t.Errorf("%s is not what the commands say: run 'go generate ./cmd/portalocker'", name)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is missing: run 'go generate ./cmd/portalocker'", name)
	}
}

func TestManualPagesAreNoPartOfTheProgram(t *testing.T) {
	deps, err := exec.Command(testproc.Tool(t, "go", "install Go"), "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(deps, []byte("cobra/doc")) {
		t.Error("cobra's generator of documentation is linked into the program")
	}
}

// withSubcommands are a command and all below it, each after those below: that a
// command is described must not change the page of the one above.
func withSubcommands(cmd *cobra.Command) (all []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		all = append(all, withSubcommands(sub)...)
	}
	return append(all, cmd)
}

// noDate is the month that cobra writes for the zero time.
const noDate = "Jan 0001"

// manualPage makes the page of a command. Its help is plain text, and cobra wants
// Markdown.
func manualPage(t *testing.T, cmd *cobra.Command) []byte {
	t.Helper()
	cmd.Long = asMarkdown(cmd.Long)
	cmd.DisableAutoGenTag = true // it has a date
	cmd.InitDefaultHelpFlag()
	cmd.Flags().VisitAll(describe)
	var page bytes.Buffer
	header := &doc.GenManHeader{Section: "1", Date: &time.Time{}, Source: "portalocker", Manual: "User Commands"}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(noDate, "", "[=false]", "").Replace(page.String())
	return quotedArgument.ReplaceAll([]byte(text), []byte("=$1"))
}

var (
	table      = regexp.MustCompile(`(?m)(^  .*\n?)+`)
	exitStatus = regexp.MustCompile(`(?m)^Exit status:(.*)`)

	quotedArgument = regexp.MustCompile(`="([A-Z]+)"`)
)

// asMarkdown makes what is indented a block that is left as it is, and gives the
// exit statuses a section of their own.
func asMarkdown(text string) string {
	text = table.ReplaceAllStringFunc(text, func(rows string) string { return "\n```\n" + strings.TrimRight(rows, "\n") + "\n```\n" })
	return exitStatus.ReplaceAllStringFunc(text, func(line string) string {
		_, rest, _ := strings.Cut(line, ": ")
		if rest == "" {
			return "# EXIT STATUS\n"
		}
		return "# EXIT STATUS\n" + strings.ToUpper(rest[:1]) + rest[1:]
	})
}

// describe makes cobra show what an option takes, instead of the default, which it
// would show without a word.
func describe(f *pflag.Flag) {
	argument, usage := pflag.UnquoteUsage(f)
	f.Usage = usage
	if f.Value.Type() == "bool" {
		return
	}
	if f.DefValue != "" {
		f.Usage += " (default " + f.DefValue + ")"
	}
	f.DefValue = argument
}
