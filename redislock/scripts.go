package redislock

import (
	"embed"
	"sync"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var sources embed.FS

// The operations. Each is one atomic step of the server; see scripts/records.lua
// for the records that they work on.
var (
	acquireScript = script(acquireParts)
	cancelScript  = script(cancelParts)
	releaseScript = script(releaseParts)
	renewScript   = script(renewParts)
	statusScript  = script(statusParts)
)

// The files of each, in their order: first what is quick, and most often enough.
var (
	acquireParts = []string{"records", "acquire_free", "queue", "acquire"}
	cancelParts  = []string{"records", "queue", "cancel"}
	releaseParts = []string{"records", "release_unwanted", "queue", "release"}
	renewParts   = []string{"renew"}
	statusParts  = []string{"records", "queue", "status"}
)

// script puts a script together from its files when it is first needed: a program
// that starts and locks a file pays nothing for it.
func script(files []string) func() *redis.Script {
	return sync.OnceValue(func() *redis.Script {
		var all []byte
		for _, name := range files {
			source, err := sources.ReadFile("scripts/" + name + ".lua")
			if err != nil {
				panic(err) // the program was built without its files
			}
			all = append(append(all, source...), '\n')
		}
		return redis.NewScript(string(all))
	})
}

// forgetAfter is the time after which Redis forgets a lock that nobody uses, in
// seconds; FORGET in scripts/records.lua.
const forgetAfter = 24 * 60 * 60
