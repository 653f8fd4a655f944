// Answers CPUID as the same processor without AVX-512, AVX-VNNI and AMX would, in each program that preloads this library.
//
// From the constructor on, each CPUID of this process is a SIGSEGV (Linux's arch_prctl(2), ARCH_SET_CPUID). Threads and forks
// inherit that, and a program that is started has a constructor of its own. What the program wants to do about SIGSEGV is
// kept, and done for each other fault; it may not block the signal, since a CPUID would end the process then.
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

// Leaves and bits: Intel SDM volume 2A, CPUID, and Intel's AVX10 specification.
#define EBX_7 (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)) /* AVX512F to VL */
#define ECX_7 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)) /* AVX512_VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
#define EDX_7 (BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25)) /* 4VNNIW to VP2INTERSECT, FP16, AMX */
#define EAX_7_1 (BIT(4) | BIT(5) | BIT(21) | BIT(23)) /* AVX_VNNI, AVX512_BF16, AMX_FP16, AVX_IFMA */
#define EDX_7_1 (BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19)) /* AVX_VNNI_INT8, NE_CONVERT, AMX_COMPLEX, INT16, AVX10 */
#define XCR0 (BIT(5) | BIT(6) | BIT(7) | BIT(17) | BIT(18)) /* masks, the wide registers, tiles */

static struct sigaction theirs;  // what the program wants to do about SIGSEGV

static void answer(greg_t * r) {
    const unsigned leaf = r[REG_RAX], sub = r[REG_RCX];
    unsigned       a, b, c, d;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1L);
    __cpuid_count(leaf, sub, a, b, c, d);
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0L);
    if (leaf == 7 && sub == 0) {
        b &= ~EBX_7, c &= ~ECX_7, d &= ~EDX_7;
    } else if (leaf == 7 && sub == 1) {
        a &= ~EAX_7_1, d &= ~EDX_7_1;
    } else if (leaf == 0xd && sub == 0) {
        a &= ~XCR0;  // the sizes stay: XSAVE does save the wide registers
    } else if ((leaf == 0xd && sub > 1 && sub < 32 && XCR0 >> sub & 1) || leaf == 0x1d || leaf == 0x1e || leaf == 0x24) {
        a = b = c = d = 0;
    }
    r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

static void on_fault(int number, siginfo_t * info, void * context) {
    greg_t * r = ((ucontext_t *) context)->uc_mcontext.gregs;
    // a page that is not there has another code: the instruction can be read
    if (info->si_code == SI_KERNEL && memcmp((const void *) r[REG_RIP], "\x0f\xa2", 2) == 0) {
        answer(r);
    } else if (theirs.sa_flags & SA_SIGINFO) {
        theirs.sa_sigaction(number, info, context);
    } else if (theirs.sa_handler != SIG_DFL && theirs.sa_handler != SIG_IGN) {
        theirs.sa_handler(number);
    } else if (theirs.sa_handler == SIG_DFL || info->si_code > 0) {
        int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
        real(SIGSEGV, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
        raise(SIGSEGV);
    }
}

int sigaction(int number, const struct sigaction * wanted, struct sigaction * before) {
    if (number != SIGSEGV) {
        int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
        return real(number, wanted, before);
    }
    const struct sigaction last = theirs;
    if (wanted) {
        theirs = *wanted;
    }
    if (before) {
        *before = last;
    }
    return 0;
}

sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction wanted = { .sa_handler = handler, .sa_flags = SA_RESTART }, before;
    return sigaction(number, &wanted, &before) == 0 ? before.sa_handler : SIG_ERR;
}

int pthread_sigmask(int how, const sigset_t * set, sigset_t * before) {
    int (*real)(int, const sigset_t *, sigset_t *) = dlsym(RTLD_NEXT, "pthread_sigmask");
    if (!set || how == SIG_UNBLOCK) {
        return real(how, set, before);
    }
    sigset_t allowed = *set;
    sigdelset(&allowed, SIGSEGV);
    return real(how, &allowed, before);
}

int sigprocmask(int how, const sigset_t * set, sigset_t * before) {
    const int failed = pthread_sigmask(how, set, before);
    if (failed) {
        errno = failed;
    }
    return failed ? -1 : 0;
}

__attribute__((constructor)) static void hide(void) {
    int (*real)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
    // whoever has little stack left has one for signals; a fault within their handler is answered, too
    struct sigaction ours = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    real(SIGSEGV, &ours, &theirs);
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0L);
}
