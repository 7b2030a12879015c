module github.com/portalocker/portalocker/bench

go 1.26.0

replace github.com/portalocker/portalocker => ../

require (
	github.com/gofrs/flock v0.13.2
	github.com/google/renameio/v2 v2.0.2
	github.com/natefinch/atomic v1.0.1
	github.com/portalocker/portalocker v0.0.0
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/sys v0.49.0
)
