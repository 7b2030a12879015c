// A wall clock that can be stepped, for a program that is started with this in its
// LD_PRELOAD. PORTALOCKER_CHAOS_CLOCK names a file of eight bytes: nanoseconds to be
// added to CLOCK_REALTIME. Other clocks stay as they are. It allocates nothing and calls
// the kernel directly, since an allocator may ask for the time before anything else is
// ready: jemalloc, which redis-server has, does, and libfaketime does not get over it.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step;

__attribute__((constructor)) static void open_clock(void) {
	const char *path = getenv("PORTALOCKER_CHAOS_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *mapped = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, fd, 0);
	if (mapped != MAP_FAILED)
		step = mapped;
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
	long failed = syscall(SYS_clock_gettime, clock, t);
	if (failed || !step || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return failed;
	int64_t ns = t->tv_sec * INT64_C(1000000000) + t->tv_nsec + *step;
	t->tv_sec = ns / 1000000000;
	t->tv_nsec = ns % 1000000000;
	return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
	(void)zone;
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t) {
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}
