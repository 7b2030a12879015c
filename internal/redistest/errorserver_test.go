package redistest_test

import (
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
)

func TestErrorServer(t *testing.T) {
	t.Parallel()
	const reply = "BUSY Redis is busy running a script"
	e := redistest.NewErrorServer(t, "-"+reply)
	for _, protocol := range []int{2, 3} {
		options, err := redis.ParseURL(e.URL())
		must(t, err)
		options.Protocol, options.Password, options.ClientName = protocol, "secret", "me"
		c := redis.NewClient(options)
		must(t, c.Ping(t.Context()).Err())
		for range 2 {
			if err := c.Set(t.Context(), "k", "v\r\nw", 0).Err(); err == nil || err.Error() != reply {
				t.Errorf("SET with protocol %d: %v", protocol, err)
			}
		}
		must(t, c.Close())
	}
	err := e.Client().Get(t.Context(), "k").Err()
	if err == nil || err.Error() != reply {
		t.Errorf("GET: %v", err)
	}
}

func TestErrorServerAcceptsWhatItIsTold(t *testing.T) {
	t.Parallel()
	const reply = "LOADING Redis is loading the dataset in memory"
	e := redistest.NewErrorServer(t, "-"+reply, "hello")
	c := redis.NewClient(&redis.Options{Addr: e.Addr(), MaxRetries: -1})
	t.Cleanup(func() { must(t, c.Close()) })
	if err := c.Ping(t.Context()).Err(); err == nil || err.Error() != reply {
		t.Errorf("PING: %v", err)
	}
}

// TestErrorServerEndsWithItsTest: a connection that stays open does not hold
// up the end.
func TestErrorServerEndsWithItsTest(t *testing.T) {
	var c net.Conn
	t.Run("server", func(t *testing.T) {
		e := redistest.NewErrorServer(t, "-ERR no")
		var err error
		c, err = net.Dial("tcp", e.Addr())
		must(t, err)
		_, err = c.Write([]byte("*1\r\n$4\r\nPING\r\n"))
		must(t, err)
		if a := says(t.Context(), c); a != "+PONG" {
			t.Errorf("it says %q", a)
		}
	})
	if a := says(t.Context(), c); a != "" {
		t.Errorf("it says %q after its end", a)
	}
	must(t, c.Close())
}
