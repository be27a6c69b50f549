/* A machine whose clock is wrong: loaded before the C library, it answers for it.
 * WRONG_BY_S is added to the time of day, in seconds; TIMES_AS_FAST multiplies what passes of the steady clock. */

#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static struct timespec origin;
    long failed = syscall(SYS_clock_gettime, clock, at);
    if (failed) return (int)failed;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) at->tv_sec += number("WRONG_BY_S", 0);
    if (clock == CLOCK_MONOTONIC) {
        if (origin.tv_sec == 0) origin = *at;
        long long passed = (at->tv_sec - origin.tv_sec) * 1000000000LL + at->tv_nsec - origin.tv_nsec;
        passed = origin.tv_nsec + passed * number("TIMES_AS_FAST", 1);
        at->tv_sec = origin.tv_sec + passed / 1000000000LL;
        at->tv_nsec = passed % 1000000000LL;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
