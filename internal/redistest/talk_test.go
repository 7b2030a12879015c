package redistest_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/redistest"
)

// answers sends a PING, and says whether a PONG comes before ctx ends. The
// connection is not closed.
func answers(ctx context.Context, conn net.Conn) bool {
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	return says(ctx, conn) == "+PONG"
}

// says is the next line; it is empty if none comes before ctx ends.
func says(ctx context.Context, conn net.Conn) string {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(patience)
	}
	_ = conn.SetReadDeadline(deadline) // fails on a closed one, and so does the read
	line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSpace(line)
}

// info is a field of INFO.
func info(t *testing.T, s *redistest.Server, section, field string) string {
	t.Helper()
	for line := range strings.Lines(fmt.Sprint(s.Do("INFO", section))) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("INFO %s has no %s", section, field)
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }
