// Prints what a program sees of the processor: at its start, in a thread that blocks each signal, in a fork, beside handlers.
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

// AVX2, AVX-512, AMX and AVX-VNNI, a bit each, the first one the lowest.
int seen(void) {
    unsigned a, b, c, d, a1, unused;
    __cpuid_count(7, 0, a, b, c, d);
    __cpuid_count(7, 1, a1, unused, unused, unused);
    return (b >> 5 & 1) | (b >> 16 & 1) << 1 | (d >> 24 & 1) << 2 | (a1 >> 4 & 1) << 3;
}

static int constructed;

__attribute__((constructor)) static void construct(void) { constructed = seen(); }

static void say(const char * where) {
    printf("%s %d\n", where, seen());
    fflush(stdout);
}

static void * thread(void * unused) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    say("thread");
    return unused;
}

static void on_fault(int number) {
    (void) number;
    say("handler");
    signal(SIGSEGV, SIG_DFL);
}

int main(void) {
    printf("constructor %d\n", constructed);
    say("main");
    pthread_t other;
    pthread_create(&other, NULL, thread, NULL);
    pthread_join(other, NULL);
    if (fork() == 0) {
        say("fork");
        return 0;
    }
    wait(NULL);
    struct sigaction ours = { .sa_handler = on_fault }, before;
    sigaction(SIGSEGV, &ours, &before);
    printf("nobody else's handler %d\n", before.sa_handler == SIG_DFL);
    say("beside a handler");
    *(volatile int *) 0 = 1;  // on_fault() is called, and then this ends the process
}
